"""The old place of `svref.deviations.dialects`, kept so that imports of it go on working."""

from svref.deviations.dialects import DIALECTS, Dialect, dialect

__all__ = ["DIALECTS", "Dialect", "dialect"]
