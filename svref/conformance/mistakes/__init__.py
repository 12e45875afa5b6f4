"""Which known mistake explains the failures of a candidate, and where it departs first.

tolerances     how far outputs of a wrong computation may be off, and where they may be lost
computations   what a wrong candidate may compute: six kinds
hypothesis     a guess that it is one of them, tried on the cases
sizes          mistakes of any size: an epsilon, a clamp, an annealing, a number format
fitting        the size of a mistake, solved for in one case, and the law that it follows in all
beyond_one     cosines that round beyond 1, and an angle that is NaN there
guesses        every hypothesis in the order in which it is tried
explanations   those that explain all failures and contradict no pass
stages         the stages of a loss by name, beside those that a candidate returns
slips          what people write by mistake for a single stage
departure      the first step of the loss that is wrong
"""
