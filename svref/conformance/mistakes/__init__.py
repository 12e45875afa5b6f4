"""Which known mistake explains the failures of a candidate, and where it departs first."""
