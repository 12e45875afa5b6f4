"""Is an implementation right? And if not, which mistake is it: adapters, verdicts, diagnosis, report."""

from svref.conformance.candidate import CandidateError
from svref.conformance.checking import check, check_values
from svref.conformance.diagnosing import Identification, diagnose
from svref.conformance.report import Count, Failure, Report

__all__ = ["CandidateError", "Count", "Failure", "Identification", "Report", "check", "check_values", "diagnose"]
