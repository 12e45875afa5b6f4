"""What does a candidate compute? Found out from its outputs alone, without expected values.

diagnose    what users call, and the answer as a table
reading     the first departure alone, for the screen of a check
asker       a candidate as it is asked: on cosines, or as a head
identify    all questions in order
whole       all of the loss at once: which formula gives every loss
forms       a formula with sizes
of_families  formulas of known mistakes, which have no size or one
of_logits   other formulas with another logit
of_losses   other formulas with another loss of the logits
fitting     the sizes with which a formula gives every loss
laws        on what a size depends
settling    what a formula of the whole means for the questions about parts
vectors     the head itself: its lengths, its rows, both its gradients
heads       vectors that have the cosines a question asks for
probes      rows chosen so that a loss can be turned back into its parts
findings    the answer to one question
behaviour   what can be asked of any loss: batches, state, scale, caps
digits      rounding to a narrower format
target      f, the target's cosine after the margin
negatives   the logits of the negatives, and h
mask        where the mask turns on
sweep       one negative moved over many cosines, for `negatives` and `mask`
gradient    the gradient against differences of the losses
backward    a wrong gradient: what it is, with its size
cotangent   whether each row's gradient is multiplied by its own g
ends        loss, gradient and clamps at cosines of ±1
"""
