"""How an array may lie in memory: a candidate must return the same numbers for each way.

Batches that come out of a transposition, a slice or a memory map do not lie row by row. Code that reads the memory
itself, as a C extension does, may forget to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.golden.making.batches import PLAIN


def _columns_first(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that lies column by column, as a transposed array does."""
    return np.array(array, order="F")


def _strided(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that is every second column of a wider array."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


def _padded(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy whose rows lie in longer rows, as in a buffer with a padded leading dimension."""
    longer = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
    longer[..., :-3] = array
    return longer[..., :-3]


def _offset(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that begins at the second element of a longer buffer."""
    buffer = np.zeros(array.size + 1, array.dtype)
    buffer[1:] = array.ravel()
    return buffer[1:].reshape(array.shape)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that refuses to be written into."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


OF_NUMPY: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    PLAIN: np.copy,
    "columns-first": _columns_first,
    "strided": _strided,
    "padded": _padded,
    "offset": _offset,
    "read-only": _read_only,
}

# Autograd goes back through each of these, so that the gradient is still that by the plain tensor.
OF_TORCH: Mapping[str, Callable[[Any], Any]] = {
    PLAIN: lambda tensor: tensor.clone(),
    "columns-first": lambda tensor: tensor.T.contiguous().T if tensor.ndim == 2 else tensor.clone(),
    "strided": lambda tensor: tensor.repeat_interleave(2, dim=-1)[..., ::2],
    "padded": lambda tensor: tensor[..., [*range(tensor.shape[-1]), 0]][..., :-1],
    "offset": lambda tensor: tensor.flatten()[[0, *range(tensor.numel())]][1:].reshape(tensor.shape),
}
