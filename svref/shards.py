"""The old place of `svref.head.shards`, kept so that imports of it go on working."""

from svref.head.shards import Kept, Shard, by_embeddings, positions, within

__all__ = ["Kept", "Shard", "by_embeddings", "positions", "within"]
