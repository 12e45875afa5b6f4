"""What right code may return, and whether a result is right.

formats     the number formats an implementation may compute in
figures     how far rounding may carry each margin
condition   how far rounding may carry each output: the tolerance
expected    what is right for any inputs
judge       each element of a result in units of its tolerance
"""
