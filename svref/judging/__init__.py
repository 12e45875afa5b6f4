"""What right code may return, and whether a result is right.

precision   where an implementation rounds: a format for each stage
figures     how far rounding may carry each margin
condition   how far rounding may carry each output: the tolerance
narrow      what stages narrower than the softmax add to it
expected    what is right for any inputs
judge       each element of a result in units of its tolerance
"""
