"""Is an implementation right? And if not, which mistake is it: adapters, verdicts, diagnosis, report."""

from svref.conformance.candidates.call import CandidateError
from svref.conformance.checking.check import check, check_values
from svref.conformance.checking.report import Count, Failure, Report
from svref.conformance.diagnosing.diagnose import Identification, diagnose

__all__ = ["CandidateError", "Count", "Failure", "Identification", "Report", "check", "check_values", "diagnose"]
