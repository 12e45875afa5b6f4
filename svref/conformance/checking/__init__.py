"""The check: every case asked and judged, and the report of it."""
