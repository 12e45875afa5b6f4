"""Half precision inside a candidate: seen in PyTorch, or read from its losses.

Autocast leaves float64 alone. So code that runs under it is right in float64, whatever it does in training.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidates.call import Adapter, Call, Level
from svref.conformance.candidates.frameworks import TorchAdapter, framework
from svref.conformance.candidates.guard import Guard, Mishap
from svref.conformance.candidates.planned import HALVES
from svref.formats import holds

ENOUGH = 12  # losses that must all be numbers of a format before it counts as theirs


@dataclass
class Seen:
    """What was seen in one call.

    Parameters
    ----------
    formats : set of str
        The 16-bit formats of results on the way.
    autocast : bool
        Whether autocast was on.
    """

    formats: set[str]
    autocast: bool = False


def sentence_on_halves(adapter: Adapter, call: Call, losses: Sequence[NDArray[Any]], timeout: float | None) -> str:
    """Return a sentence on half precision inside a candidate; "" if none was seen.

    Parameters
    ----------
    adapter : Adapter
        Calls the candidate.
    call : Call
        The question that is asked once more; only PyTorch shows what happens inside.
    losses : sequence of arrays
        The losses of all cases.
    timeout : float or None
        Seconds until the call counts as hung.
    """
    seen = _seen_in_torch(adapter, call, timeout) if isinstance(adapter, TorchAdapter) else Seen(set())
    narrow = call.dtype == np.float32
    formats = (seen.formats or _formats_of(losses)) if narrow else set()
    if formats:
        names, alone = " and ".join(sorted(formats)), "; float64, which autocast leaves alone, says nothing about that"
        return (
            f"parts of the candidate compute in {names}{alone if seen.autocast else ''}; "
            f"{_options(sorted(formats)[0], seen.autocast, call.level)} judges by where it rounds"
        )
    if seen.autocast and not narrow:
        return "autocast is on inside, and leaves float64 alone: float64 says nothing about it; use --dtype float32"
    return ""


def _options(half: str, autocast: bool, level: Level) -> str:
    """Return the options by which code that takes float32 and computes in a half format is judged."""
    dtype = " --dtype float32"
    if autocast:
        return f"--precision autocast-{half}{dtype if level == 'cosine' else ''}"
    return f"--precision {half}{dtype}"


def sentence_on_refusal(dtype: str, precision: str, mishaps: Sequence[Mishap]) -> str:
    """Return what to do where a candidate raises whatever it is asked in a half format; "" in another dtype."""
    refused = bool(mishaps) and all(mishap.kind in ("raised", "unsupported") for mishap in mishaps)
    if dtype not in HALVES or not refused:
        return ""
    return (
        f"the candidate answers no case with inputs of {dtype}; "
        f"for code that takes float32 and rounds inside use --precision {precision} --dtype float32"
    )


def _formats_of(losses: Sequence[NDArray[Any]]) -> set[str]:
    """Return the 16-bit formats that hold every loss; none if there are too few losses to tell."""
    flat = np.concatenate([np.ravel(values) for values in losses]) if losses else np.zeros(0)
    told = flat[np.isfinite(flat) & (flat != 0)]
    return {name for name in HALVES if len(told) >= ENOUGH and holds(told, name).all()}


def _seen_in_torch(adapter: TorchAdapter, call: Call, timeout: float | None) -> Seen:
    """Return what was seen in a call of a PyTorch candidate; nothing if it does not answer."""
    seen, function = Seen(set()), adapter.function
    watch = _watch(seen, adapter.device.split(":")[0])

    @functools.wraps(function)
    def watched(*arguments: Any, **keywords: Any) -> Any:
        with watch:
            return function(*arguments, **keywords)

    Guard(replace(adapter, function=watched), timeout)(call)
    return seen


def _watch(seen: Seen, device: str) -> Any:
    """Return a context of PyTorch in which each result is looked at."""
    torch = framework("torch")

    class Watch(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
            result = function(*arguments, **(keywords or {}))
            name = str(getattr(result, "dtype", "")).removeprefix("torch.")
            seen.formats |= {name} & set(HALVES)
            seen.autocast |= torch.is_autocast_enabled(device)
            return result

    return Watch()
