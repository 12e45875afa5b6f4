"""Batches unlike those of the packs: larger, laid out differently in memory, with other parameters and label dtypes.

batches   the features of such a batch, and its inputs, which follow from the features and a seed
causes    which features of a batch make a candidate fail, by making the batch simpler step by step
trying    asks a candidate some of them, and says what was found
"""
