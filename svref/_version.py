"""The one place that holds the version."""

#: The version of svref.
__version__ = "0.1.0"
