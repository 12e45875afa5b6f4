"""The old place of `svref.head.distributed`, kept so that imports of it go on working."""

from svref.head.distributed import value_and_grad

__all__ = ["value_and_grad"]
