"""What does a candidate compute? Found out from its outputs alone, without expected values.

diagnose    what users call, and the answer as a table
identify    all questions in order
probes      rows chosen so that a loss can be turned back into its parts
findings    the answer to one question
behaviour   what can be asked of any loss: digits, batches, state, scale, caps
target      f, the target's cosine after the margin
negatives   the logits of the negatives, and h
mask        where the mask turns on
sweep       one negative moved over many cosines, for `negatives` and `mask`
gradient    the gradient against differences of the losses
ends        loss, gradient and clamps at cosines of ±1
"""
