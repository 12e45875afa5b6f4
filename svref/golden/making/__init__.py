"""How packs are made: recipes of inputs, certified outputs, and the mistakes that each case exposes.

recipes   the inputs of a case, as numbers that mean the same in every language
groups    which rows make which mistake show
coarse    the same for formats of few digits
heads     the same for heads
batches   batches as trainings have them: larger, and of all digits
packs     which groups a pack has, and its version
records   from a recipe to a case, and from the cases to the files of a pack
fixed     the cases of a pack at parameters that a user gives
radius    how far inputs may move before a decision changes
power     which mistakes a case exposes
beyond    which mistakes no case can expose, and why
"""
