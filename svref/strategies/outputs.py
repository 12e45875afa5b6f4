"""What code under test returns, as arrays that can be judged: one for the losses, and one for each gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NARROW = ("float16", "bfloat16")  # the inputs of these formats come in arrays of float32, and so may the outputs


def check_parts(names: Sequence[str], parts: Sequence[Any]) -> None:
    """Raise a ValueError if there are more parts than names, or a part is a whole answer: a dict, a tuple of arrays."""
    if len(parts) > len(names):
        raise ValueError(f"check takes at most {', '.join(names)}; got {len(parts)} arrays. Leave out the others.")
    whole: Any = next((part for part in parts if isinstance(part, Mapping)), None)
    if whole is None and isinstance(parts[0], (tuple, list)) and any(map(np.ndim, parts[0])):
        whole = parts[0]
    if whole is not None:
        how = "check(*answer.values()), in that order" if isinstance(whole, Mapping) else "check(*answer)"
        got = f"a {type(whole).__name__} of {len(whole)}"
        raise ValueError(f"check takes {', '.join(names)} one by one; got {got}. Unpack it: {how}.")


def output_array(name: str, values: Any, dtype: str) -> np.ndarray[Any, Any]:
    """Return an output as an array; what is narrower than the array that holds the inputs is widened.

    NumPy has no bfloat16, so a tensor of PyTorch in it is widened first. Raises an AssertionError if the inputs were of
    a wider format.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    if str(getattr(values, "dtype", "")) == "torch.bfloat16":
        if dtype not in NARROW:
            raise AssertionError(f"{name} is returned in bfloat16 where {dtype} was given.")
        values = values.float()
    array = np.asarray(values)
    return array.astype(np.float32) if dtype in NARROW else array
