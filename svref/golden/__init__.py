"""Which inputs an implementation is judged on."""

from svref.golden.cases import Case, case, cases_of

__all__ = ["Case", "case", "cases_of"]
