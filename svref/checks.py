"""Every check of an input or of a parameter, and its message.

Each public function calls these first, before any work is done, so that all code behind it may assume valid arrays.
A message says what must hold, what arrived, where first and how often, and what to do about it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from svref.arrays import BoolArray, FloatArray, IntArray

Progress = Callable[[int, int], object]  # takes how much is done, and the total

REDUCTIONS = ("mean", "sum", "none")
_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def real_array(name: str, values: ArrayLike, ndim: int) -> FloatArray:
    """Return `values` as a native float32 or float64 array of `ndim` axes, without a copy if it is one."""
    array = _as_array(name, values)
    if array.dtype.newbyteorder("=") not in _DTYPES:
        raise TypeError(
            f"{name} must be float32 or float64; got {array.dtype}. "
            f"Convert them first, for example np.asarray({name}, dtype=np.float64)."
        )
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, {_axes(name)}; got shape {array.shape}.")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty: at least one of each, {_axes(name)}; got shape {array.shape}.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_finite(name: str, array: FloatArray, extremes: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return the smallest and the largest entry; raise if one is not finite.

    `extremes` are these two, if the caller knows them: the engine finds those of a large array on all threads.
    """
    low, high = extremes or (float(array.min()), float(array.max()))
    if not (math.isfinite(low) and math.isfinite(high)):
        refuse_first(name, array, ~np.isfinite(array), "must be finite", "Mend the computation that made them.")
    return low, high


def output_array(name: str, out: object, shape: tuple[int, ...], dtype: np.dtype[Any], *read: FloatArray) -> FloatArray:
    """Return `out`, or a new array if it is None.

    Raise unless `out` has the shape, the dtype and the layout of the result, is writeable, and shares no memory with
    an array in `read`.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or type(out) not in (np.ndarray, np.memmap):
        raise TypeError(f"{name} must be a plain NumPy array or a memory map; got {type(out).__name__}.")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"{name} must have shape {shape} and dtype {dtype}, those of what it is the gradient by; "
            f"got shape {out.shape} and dtype {out.dtype}. Allocate it with np.empty({shape}, np.{dtype})."
        )
    if not (out.flags.c_contiguous and out.flags.aligned):
        raise ValueError(f"{name} must be aligned and in C order; got strides {out.strides}. Pass a plain np.empty.")
    if not out.flags.writeable:
        hint = " Open the memory map with mode 'r+' or 'w+'." if isinstance(out, np.memmap) else ""
        raise ValueError(f"{name} must be writeable; got a read-only array.{hint}")
    if any(np.may_share_memory(out, array) for array in read):
        raise ValueError(f"{name} must not overlap an input; got memory that one of them uses. Pass another array.")
    return out


def refuse_first(name: str, array: NDArray[Any], wrong: BoolArray, must: str, advice: str) -> None:
    """Raise a ValueError that names the first entry of `array` where `wrong` holds, and how many there are."""
    if not wrong.any():
        return
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = ", ".join(str(i) for i in first)
    raise ValueError(
        f"{name} {must}; got {name}[{where}] = {_shown(array[first])} "
        f"({np.count_nonzero(wrong)} of {array.size} entries). {advice}"
    )


def _shown(value: Any) -> str:
    """Return a number in as many digits as it needs: 1.0000001 must not be shown as 1."""
    return str(value)


def _axes(name: str) -> str:
    known = {"cosines": "(B, C)", "embeddings": "(B, D)", "weights": "(C, D)"}
    return known.get(name, "(B,)")


def _as_array(name: str, values: ArrayLike) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must be a plain array; got a masked array, whose mask would be lost. "
            "Fill it, or mark rows with ignore_index."
        )
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise TypeError(f"{name} must be readable as an array, or nested lists of equal length; {error}") from error


def check_cosine_range(cosines: FloatArray, low: float, high: float) -> None:
    """Raise if the lowest or the highest entry lies outside [-1, 1], where an angle does not exist."""
    if low >= -1 and high <= 1:
        return
    refuse_first(
        "cosines",
        cosines,
        np.abs(cosines) > 1,
        "must lie in [-1, 1] for an angular margin",
        "Rounding of normalised products does this: pass np.clip(cosines, -1, 1).",
    )


def check_logits(largest: float, s: float, t: float, dtype: np.dtype[Any]) -> None:
    """Raise if logits of cosines up to `largest`, scaled by s and emphasised by t, may overflow `dtype`."""
    limit, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_normal)
    if s < tiny or t > 2.0**32:
        raise ValueError(f"s must be at least {tiny:.3g} in {dtype}, and t at most 2^32; got s={s:g}, t={t:g}.")
    if not 8 * s * t * max(1.0, largest) < limit:
        raise ValueError(
            f"8 s t max(1, |c|, |f|) must stay below {limit:.3g}, so that the logits are finite in {dtype}; "
            f"got s={s:g}, t={t:g} and cosines or margins up to {largest:.3g}. Use a smaller s or t."
        )
    if not 8 * t * max(1.0, largest) < limit:
        raise ValueError(
            f"8 t max(1, |c|, |f|) must stay below {limit:.3g} also where s is below 1, so that the emphasis is "
            f"finite in {dtype} before s multiplies it; got t={t:g} and cosines or margins up to {largest:.3g}. "
            "Use smaller cosines and a larger s."
        )


def class_indices(
    labels: ArrayLike, rows: int, classes: int, ignore_index: int | None
) -> tuple[IntArray, BoolArray | None]:
    """Return the labels as indices (B,), and which rows count (None: all of them).

    Ignored rows get the index 0, so that the computation needs no special case; their cotangent is 0.
    """
    array = _as_array("labels", labels)
    if array.ndim == 2:
        return _from_one_hot(array, rows, classes, ignore_index), None
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            "labels must be integer class indices (B,), or one-hot (B, C); "
            f"got dtype {array.dtype} and shape {array.shape}."
        )
    if array.shape[0] != rows:
        raise ValueError(f"labels must have one entry per row, B = {rows}; got {array.shape[0]}.")
    ignored = _ignored(array, ignore_index)
    outside = ((array < 0) | (array >= classes)) & ~ignored
    advice = "Labels count from 0; pass ignore_index to leave rows out."
    refuse_first("labels", array, outside, f"must be class indices below C = {classes}", advice)
    indices = np.where(ignored, 0, array).astype(np.intp)
    return indices, ~ignored if ignored.any() else None


def _ignored(labels: NDArray[Any], ignore_index: object) -> BoolArray:
    if ignore_index is None:
        return np.zeros(labels.shape, dtype=bool)
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, (int, np.integer)):
        raise TypeError(f"ignore_index must be an integer or None; got {ignore_index!r}.")
    return np.asarray(labels == ignore_index)


def _from_one_hot(array: NDArray[Any], rows: int, classes: int, ignore_index: int | None) -> IntArray:
    if array.shape != (rows, classes):
        raise ValueError(
            f"one-hot labels must have the shape of the cosines, {(rows, classes)}; got {array.shape}. "
            "Class indices need one axis: labels.ravel()."
        )
    if ignore_index is not None:
        raise ValueError("ignore_index needs integer labels; got one-hot labels. Pass labels.argmax(axis=1).")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"one-hot labels must be real or bool; got dtype {array.dtype}.")
    refuse_first(
        "labels", array, (array != 0) & (array != 1), "must be one-hot, only 0 and 1",
        "Soft labels have no single target, and the margin needs one.",
    )  # fmt: skip
    ones = np.count_nonzero(array, axis=1)
    refuse_first("the number of ones in a row of labels", ones, ones != 1, "must be exactly 1", "Mend that row.")
    return np.argmax(array, axis=1)


def row_cotangent(cotangent: ArrayLike | None, rows: int) -> FloatArray:
    """Return dL/d(loss of each row) as float64 (B,); None is a vector of ones."""
    if cotangent is None:
        return np.ones(rows)
    array = _as_array("cotangent", cotangent)
    if array.dtype.kind not in "iuf" or array.shape != (rows,):
        raise ValueError(
            f"cotangent must be real numbers of shape (B,) = ({rows},); "
            f"got dtype {array.dtype} and shape {array.shape}."
        )
    array = array.astype(np.float64)
    refuse_first("cotangent", array, ~np.isfinite(array), "must be finite", "It is dL/d(loss) of each row.")
    return array


def reduction_cotangent(reduction: str, counted: BoolArray | None, rows: int) -> FloatArray:
    """Return how much each row's loss counts in what `reduction` returns, (B,); "none" counts like "sum"."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(map(repr, REDUCTIONS))}; got {reduction!r}.")
    g = np.ones(rows) if counted is None else counted.astype(np.float64)
    if reduction != "mean":
        return g
    if not g.any():
        raise ValueError(
            f"a mean needs at least one row that counts; all {rows} rows carry ignore_index. "
            'Skip this batch, or use reduction="sum".'
        )
    return g / g.sum()


def check_row(row: int, rows: int) -> None:
    """Raise a ValueError unless `row` is one of so many rows; rows count from 0."""
    if not 0 <= row < rows:
        raise ValueError(f"row must be from 0 to {rows - 1}; got {row}.")


def check_progress(progress: object) -> None:
    """Raise unless `progress` is a function or None."""
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function of two integers, done and total; got {progress!r}.")


def check_pair(embeddings: FloatArray, weights: FloatArray) -> None:
    """Raise unless embeddings (B, D) and weights (C, D) share D and their dtype."""
    if embeddings.shape[1] != weights.shape[1]:
        raise ValueError(
            f"embeddings (B, D) and weights (C, D) must share D; got shapes {embeddings.shape} and {weights.shape}."
        )
    if embeddings.dtype != weights.dtype:
        raise TypeError(
            "embeddings and weights must share one dtype, so that none is converted silently; "
            f"got {embeddings.dtype} and {weights.dtype}."
        )


def check_rows(name: str, array: FloatArray) -> None:
    """Raise if a row is not finite, or all zeros: it has no direction, hence no cosine."""
    check_finite(name, array)
    zero = np.asarray(~array.any(axis=1))
    if zero.any():
        raise ValueError(
            f"{name} must have no zero row: it has no direction; got {name}[{int(np.argmax(zero))}] = 0 "
            f"({np.count_nonzero(zero)} of {len(zero)} rows)."
        )


# ---- parameters of a loss -------------------------------------------------------------------------------------------


def real_parameter(name: str, value: object, low: float, high: float = math.inf, *, open_low: bool = False) -> float:
    """Return `value` as a float in [low, high), or in (low, high) with `open_low`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number; got {name}={value!r} ({type(value).__name__}).")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    above = number > low if open_low else number >= low
    if not (above and number < high):
        raise ValueError(f"{name} must be {_interval(low, high, open_low)}; got {name}={value!r}.")
    return number


def _interval(low: float, high: float, open_low: bool) -> str:
    if math.isinf(low):
        return "finite"
    lower = f"{'above' if open_low else 'at least'} {low:g}"
    if math.isinf(high):
        return f"{lower} and finite"
    return f"{lower} and below {'π (radians, not degrees)' if high == math.pi else format(high, 'g')}"


def emphasis_parameter(value: object) -> float:
    """Return the SV paper's t as a float of at least 1."""
    t = real_parameter("t", value, -math.inf, open_low=True)
    if t < 1:
        hint = f" Code after the MV-Softmax paper calls t - 1 its t: you may mean t={1 + t:g}." if t >= 0 else ""
        raise ValueError(f"t must be at least 1 (t = 1 switches the emphasis off); got t={value!r}.{hint}")
    return t


def integer_parameter(name: str, value: object, low: int, high: int) -> int:
    """Return `value` as an int from `low` to `high`; 4.0 counts as 4."""
    number = real_parameter(name, value, -math.inf, open_low=True)
    if not number.is_integer() or not low <= number <= high:
        raise ValueError(f"{name} must be an integer from {low} to {high}; got {name}={value!r}.")
    return int(number)


def one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")
