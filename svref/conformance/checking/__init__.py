"""The check: every case asked and judged, and the report of it.

check        what users call: `check`
values       what users call for arrays that are there already: `check_values`
unshown      which known mistakes such arrays could not have shown
subject      what is judged: the candidate, loaded once and read once
judged       from a candidate and options to a report, in one dtype or in both
dtypes       the reports of several dtypes as one
asking       one question to a candidate, and the judged answer
run          asks and judges every case, and then more
stepwise     the same in pieces, for test suites that show each piece as a test
controls     outputs spoiled on purpose must fail; calls are repeated to find hidden state
state        how much hidden state changes the answers, and what fails besides
fixed        parameters that a candidate ignores, and the values it has inside
variations   batches unlike the cases: larger, laid out otherwise, with other dtypes and parameters
probing      batches that a wrong candidate is asked, so that its mistake can be told from its neighbours
evidence     which known mistakes the cases would have shown
plans        the precision that the errors of a wrong candidate look like
poles        gradients that are NaN or infinite where cos θ_y = ±1
stages       the stages that a candidate offers, one by one: right, first wrong, blank
notes        what a candidate's own file says about its stages: where they stand, and hints
outcome      what was found, as data, and the verdict
reproduce    the command, or the call in Python, that shows a failure again
report       the outcome made from a run, and its JSON
summary      the outcome as text for one screen
"""
