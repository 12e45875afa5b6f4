"""Batches unlike those of the packs: larger, laid out differently in memory, with other parameters and label dtypes.

causes    which features of a batch make a candidate fail, by making the batch simpler step by step
trying    asks a candidate some of them, and says what was found
"""
