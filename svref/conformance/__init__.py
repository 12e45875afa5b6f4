"""Whether an implementation of a loss is right, and if not, which mistake it makes.

candidates   calls a user's implementation, whatever its framework and whatever it does
trial        one case: what was asked, what is right, what came back
mistakes     which known mistake explains the failures, and where the candidate departs first
checking     the check: every case asked and judged, and the report
diagnosing   what a function computes, found out without vectors
solving      the sizes at which a computation gives what was measured
numbers      a measured number as somebody wrote it
"""

from svref.conformance.candidates.call import CandidateError
from svref.conformance.checking.check import check
from svref.conformance.checking.outcome import Count, Failure
from svref.conformance.checking.report import Report
from svref.conformance.checking.values import check_values
from svref.conformance.diagnosing.diagnose import Identification, diagnose

__all__ = ["CandidateError", "Count", "Failure", "Identification", "Report", "check", "check_values", "diagnose"]
