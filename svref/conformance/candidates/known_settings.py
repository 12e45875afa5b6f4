"""The settings of the process that foreign code may change, as a table: how each is read, and how it is written back.

`OF_CALLS` are those that change what svref itself computes, or how the next call runs: they are written back after
every call. `OF_RUNS` are written back after the whole run alone: a candidate whose random numbers began anew in every
call would hide that it draws them.
"""

from __future__ import annotations

import contextlib
import ctypes
import decimal
import gc
import locale
import os
import random
import signal
import sys
import threading
from typing import Any

import numpy as np

from svref.conformance.candidates.planned import product_precision, set_product_precision
from svref.conformance.candidates.settings import Setting

# ---- Python and NumPy -------------------------------------------------------------------------------------------


def _current_folder() -> str:
    """Return the current folder; "" if somebody has removed it."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _change_folder(folder: str) -> None:
    """Go back to a folder, if it is still there."""
    with contextlib.suppress(OSError):
        os.chdir(folder)


def _set_environment(variables: dict[str, str]) -> None:
    """Give the environment the variables it had, and no others."""
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    os.environ.update(variables)


def _set_search_path(path: tuple[list[str], list[str]]) -> None:
    """Give sys.path the list that it was, with the folders that it had."""
    sys.path = path[0]
    sys.path[:] = path[1]


def _signal_handlers() -> dict[int, Any]:
    """Return the handlers of all signals; those that Python did not set cannot be read."""
    handlers = {int(number): signal.getsignal(number) for number in signal.valid_signals()}
    return {number: handler for number, handler in handlers.items() if handler is not None}


def _set_signal_handlers(handlers: dict[int, Any]) -> None:
    """Set the handlers that differ. Python lets only the main thread set them."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in handlers.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _set_print_options(options: dict[str, Any]) -> None:
    """Set how NumPy prints arrays."""
    np.set_printoptions(**{name: value for name, value in options.items() if name != "override_repr"})


def _numpy_generator() -> Any:
    """Return NumPy's global generator and its state."""
    generator = sys.modules["numpy.random"]
    return generator.get_bit_generator(), generator.get_state(legacy=False)


def _set_numpy_generator(value: Any) -> None:
    """Set NumPy's global generator and its state."""
    generator = sys.modules["numpy.random"]
    generator.set_bit_generator(value[0])
    generator.set_state(value[1])


def _set_garbage_collection(on: bool) -> None:
    """Switch the garbage collection on or off."""
    (gc.enable if on else gc.disable)()


_LIBRARY = ctypes.CDLL(None) if os.name == "posix" else None


def _floating_point_mode() -> Any:
    """Return how this thread rounds, and whether it turns numbers below the smallest normal one into 0.

    Libraries built with -ffast-math, and ``torch.set_flush_denormal``, change that for NumPy too. The C library keeps
    it in a structure of 32 bytes or fewer. Where there is no such library, None is returned.
    """
    if _LIBRARY is None:
        return None
    mode = ctypes.create_string_buffer(64)
    _LIBRARY.fegetenv(mode)
    return mode


def _set_floating_point_mode(mode: Any) -> None:
    """Set what `_floating_point_mode` returned."""
    if _LIBRARY is not None:
        _LIBRARY.fesetenv(mode)


# ---- PyTorch, JAX, TensorFlow -----------------------------------------------------------------------------------

_ENTERED: list[Any] = []  # inference modes that svref entered to undo one; dropping such an object would leave it again


def _torch() -> Any:
    """Return PyTorch, which has been imported."""
    return sys.modules["torch"]


def _set_inference_mode(on: bool) -> None:
    """Switch the inference mode on or off for good; PyTorch itself only has a context for it."""
    mode = _torch().inference_mode(on)
    mode.__enter__()
    _ENTERED.append(mode)


def _deterministic() -> tuple[bool, bool]:
    """Return whether PyTorch must be deterministic, and whether it only warns where it is not."""
    torch = _torch()
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _default_device() -> str:
    """Return where PyTorch makes new tensors."""
    return str(_torch().get_default_device())


def _set_default_device(device: str) -> None:
    """Set where PyTorch makes new tensors; None is what it has from the start, and costs no time."""
    _torch().set_default_device(None if device == "cpu" else device)


def _cuda_generators() -> Any:
    """Return the states of the generators of all GPUs, if PyTorch has made any use of them."""
    cuda = _torch().cuda
    return cuda.get_rng_state_all() if cuda.is_initialized() else []


def _autocast() -> list[tuple[str, bool, Any]]:
    """Return for each kind of device whether autocast is on, and in which dtype."""
    torch = _torch()
    return [(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]


def _set_autocast(values: list[tuple[str, bool, Any]]) -> None:
    """Set what `_autocast` returned."""
    for kind, on, dtype in values:
        _torch().set_autocast_enabled(kind, on)
        _torch().set_autocast_dtype(kind, dtype)


def _keras_policy() -> Any:
    """Return the dtype policy of Keras."""
    return sys.modules["keras"].mixed_precision.dtype_policy()


def _of_jax(name: str) -> Setting:
    """Return a setting of JAX."""
    return Setting(
        name,
        lambda: getattr(sys.modules["jax"].config, name),
        lambda value: sys.modules["jax"].config.update(name, value),
        "jax",
    )


_TORCH_OF_CALLS = (
    Setting("autocast of PyTorch", _autocast, _set_autocast, "torch"),
    Setting("inference mode of PyTorch", lambda: _torch().is_inference_mode_enabled(), _set_inference_mode, "torch"),
    Setting(
        "grad mode of PyTorch", lambda: _torch().is_grad_enabled(), lambda on: _torch().set_grad_enabled(on), "torch"
    ),
    Setting(
        "default dtype of PyTorch",
        lambda: _torch().get_default_dtype(),
        lambda dtype: _torch().set_default_dtype(dtype),
        "torch",
    ),
    Setting("default device of PyTorch", _default_device, _set_default_device, "torch"),
)
_TORCH_OF_RUNS = (
    Setting(
        "deterministic algorithms of PyTorch",
        _deterministic,
        lambda flags: _torch().use_deterministic_algorithms(flags[0], warn_only=flags[1]),
        "torch",
    ),
    Setting("threads of PyTorch", lambda: _torch().get_num_threads(), lambda n: _torch().set_num_threads(n), "torch"),
    Setting(
        "generator of PyTorch", lambda: _torch().get_rng_state(), lambda state: _torch().set_rng_state(state), "torch"
    ),
    Setting(
        "generators of the GPUs", _cuda_generators, lambda states: _torch().cuda.set_rng_state_all(states), "torch"
    ),
    Setting(
        "precision of matrix products of PyTorch",
        lambda: product_precision(_torch()),
        lambda value: set_product_precision(_torch(), value),
        "torch",
    ),
    Setting(
        "anomaly mode of PyTorch",
        lambda: _torch().is_anomaly_enabled(),
        lambda on: _torch().autograd.set_detect_anomaly(on),
        "torch",
    ),
)
_JAX = tuple(
    map(
        _of_jax,
        (
            "jax_enable_x64", "jax_debug_nans", "jax_debug_infs", "jax_disable_jit", "jax_default_matmul_precision",
            "jax_numpy_dtype_promotion", "jax_numpy_rank_promotion", "jax_default_device", "jax_default_prng_impl",
        ),
    )
)  # fmt: skip
_TENSORFLOW = (
    Setting(
        "eager functions of TensorFlow",
        lambda: sys.modules["tensorflow"].config.functions_run_eagerly(),
        lambda on: sys.modules["tensorflow"].config.run_functions_eagerly(on),
        "tensorflow",
    ),
    Setting(
        "dtype policy of Keras",
        _keras_policy,
        lambda policy: sys.modules["keras"].mixed_precision.set_dtype_policy(policy),
        "keras",
    ),
)

OF_CALLS = (
    Setting("floating-point mode", _floating_point_mode, _set_floating_point_mode),
    Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    Setting("decimal context", lambda: decimal.getcontext().copy(), decimal.setcontext),
    Setting("error handler of NumPy", np.geterrcall, np.seterrcall),
    Setting("current folder", _current_folder, _change_folder),
    *_TORCH_OF_CALLS,
)
OF_RUNS = (
    *OF_CALLS,
    Setting("error state of NumPy", np.geterr, lambda state: np.seterr(**state)),
    Setting("print options of NumPy", np.get_printoptions, _set_print_options),
    Setting("generator of NumPy", _numpy_generator, _set_numpy_generator, "numpy.random"),
    Setting("generator of Python", random.getstate, random.setstate),
    Setting("locale", lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    Setting("environment", lambda: dict(os.environ), _set_environment),
    Setting("search path", lambda: (sys.path, list(sys.path)), _set_search_path),
    Setting("signal handlers", _signal_handlers, _set_signal_handlers),
    Setting("exit of Python", lambda: sys.exit, lambda function: setattr(sys, "exit", function)),
    Setting("exception hook", lambda: sys.excepthook, lambda hook: setattr(sys, "excepthook", hook)),
    Setting("garbage collection", gc.isenabled, _set_garbage_collection),
    *_TORCH_OF_RUNS,
    *_JAX,
    *_TENSORFLOW,
)
