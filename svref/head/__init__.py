"""From embeddings and class weights to the loss, and back.

streaming     the head on one machine: the classes pass in chunks, on all threads
shards        the same on classes that lie in different places: what each place computes, what they exchange
distributed   the shards on a Dask cluster
geometry      directions, lengths and angles of vectors, accurate also where two are almost parallel
"""

from svref.head.streaming import HeadGradients, value_and_grad

__all__ = ["HeadGradients", "value_and_grad"]
