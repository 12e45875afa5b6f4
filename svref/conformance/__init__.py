"""Is an implementation right? Adapters, comparison, report."""

from svref.conformance.adapters import CandidateError
from svref.conformance.checking import check, check_values
from svref.conformance.report import Count, Failure, Report

__all__ = ["CandidateError", "Count", "Failure", "Report", "check", "check_values"]
