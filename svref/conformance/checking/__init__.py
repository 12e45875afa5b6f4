"""The check: every case asked and judged, and the report of it.

check      what users call: `check` and `check_values`
run        asks and judges every case
controls   outputs spoiled on purpose must fail; calls are repeated to find hidden state
outcome    what was found, as data, and the verdict
report     the outcome made from a run, and its JSON
summary    the outcome as text for one screen
"""
