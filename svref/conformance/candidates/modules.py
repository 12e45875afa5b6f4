"""PyTorch modules as candidates: a class, or an instance, that owns the weights of the classes.

The check puts the weights of each question in the place of the module's own, and asks for the gradient by them. Which
parameter that is, and which way round it lies, is found by its shape in a module of other sizes.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from svref.conformance.candidates.arguments import RETURN, Role, Roles, roles_of, words_of
from svref.conformance.candidates.call import CandidateError, Function, Level
from svref.conformance.candidates.called import (
    ARRAYS,
    Called,
    Made,
    Values,
    attributes_of,
    check_known,
    constructor_of,
    held,
    method_of,
)
from svref.conformance.candidates.guard import first_line
from svref.conformance.candidates.owned import PROBE, Resized, Weight, sizes_of, weights_of
from svref.conformance.candidates.process import quietly
from svref.variants import Variant


@dataclass(frozen=True, eq=False)
class Module(Called):
    """Calls a module with the weights that the check gives in the place of its own.

    Parameters
    ----------
    weight : Weight or None
        Where its weights are; None for one that takes cosines, or weights as an argument.
    cuda : set of str
        Not empty once the module was found to ask for a GPU; its calls then stay on the CPU.
    """

    weight: Weight | None = None
    cuda: set[str] = field(default_factory=set, repr=False)

    def __call__(self, *arrays: Any, **parameters: Any) -> Any:
        """Return what the module returns, computed in the dtype of the arrays; under autocast in float32."""
        with _in_dtype(_own_dtype(arrays[0])):
            try:
                with on_cpu() if self.cuda else nullcontext():
                    return super().__call__(*arrays, **parameters)
            except Exception as error:
                if self.cuda or "cuda" not in str(error).lower() or arrays[0].device.type != "cpu":
                    raise
                self.cuda.add("asks for a GPU")
                return self(*arrays, **parameters)


def is_module(found: Any) -> bool:
    """Return whether this is a module of PyTorch, or a class of such."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "nn"):
        return False
    return issubclass(found, torch.nn.Module) if inspect.isclass(found) else isinstance(found, torch.nn.Module)


def owns_weights(module: Any) -> bool:
    """Return whether this is an instance of a module that has a parameter of two axes."""
    return is_module(module) and not inspect.isclass(module) and any(p.ndim == 2 for p in module.parameters())


@dataclass(frozen=True)
class Source:
    """Where modules come from: a class that is constructed, or an instance that is copied.

    Parameters
    ----------
    cls : type
        The class.
    constructor : Roles
        What the arguments of its constructor mean; none for an instance.
    module : module
        One of them.
    sizes : mapping of str to int
        Its numbers of classes and features, as far as they are known.
    making : callable
        Returns a maker of modules for a place of the weights.
    """

    cls: type
    constructor: Roles
    module: Any
    sizes: Mapping[str, int]
    making: Callable[[Weight | None], Callable[[Values], Any]]


def function_of(found: Any, entry: Variant, given: Mapping[str, Role]) -> tuple[Function, str, dict[str, float]]:
    """Return a class or an instance as a function; what was taken for what; and the parameters its attributes fix."""
    words = words_of(entry)
    source = (_of_class if inspect.isclass(found) else _of_instance)(found, words, entry, given)
    name, forward = source.cls.__name__, _roles_of_forward(source.cls, words, given)
    owned = [name for name, _ in source.module.named_parameters()]
    check_known(forward, {}, (), f"{name}.forward")
    check_known(forward, given, [*source.constructor.signature, *owned], name)
    weights: list[Weight | None] = [None]
    if "weights" not in forward.held:
        weights = [*weights_of(source.module, given, source.sizes)] or weights
    parameters, which = held(entry, source.constructor, forward), given.get(RETURN)
    ways = [
        Module(_level(forward, w), forward, _forward_of(source.making(w), w), parameters, which, w) for w in weights
    ]
    called = _that_runs(ways, entry)
    fixed = {} if inspect.isclass(found) else attributes_of(found, words, entry, called.parameters)
    return called, _taken(called, source.constructor, fixed), fixed


def _of_class(cls: type, words: Mapping[str, Role], entry: Variant, given: Mapping[str, Role]) -> Source:
    """Return a class as a source of modules."""
    constructor = roles_of(constructor_of(cls), words, given)
    check_known(constructor, {}, (), f"the constructor of {cls.__name__}")
    made = Made(cls, constructor)
    return Source(cls, constructor, _made(made, cls, entry), PROBE, lambda weight: made)


def _of_instance(found: Any, words: Mapping[str, Role], entry: Variant, given: Mapping[str, Role]) -> Source:
    """Return an instance as a source of modules."""
    making = functools.partial(Resized, found, words)
    return Source(type(found), Roles({}, {}), found, sizes_of(found, words), making)


def _level(forward: Roles, weight: Weight | None) -> Level:
    """Return what a module takes: vectors if there are weights, else cosines."""
    return "head" if weight is not None or "weights" in forward.held else "cosine"


def _roles_of_forward(cls: type, words: Mapping[str, Role], given: Mapping[str, Role]) -> Roles:
    """Return what the arguments of a module's forward mean; the weights may be among them."""
    signature = method_of(cls, "forward")
    roles = roles_of(signature, words, given, ARRAYS["cosine"])
    return roles_of(signature, words, given, ARRAYS["head"]) if "weights" in roles.held else roles


def _made(make: Callable[[Values], Any], cls: type, entry: Variant) -> Any:
    """Return an instance of the sizes of the probe."""
    try:
        with quietly("while the candidate is constructed"), on_cpu():
            return make({**PROBE, **entry.parameters})
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise CandidateError(
            f"{cls.__name__} cannot be constructed: {type(error).__name__}: {first_line(error)}. Say by --map "
            "ARGUMENT=VALUE what its constructor needs, or give a function that constructs it."
        ) from error


def _forward_of(make: Callable[[Values], Any], weight: Weight | None) -> Callable[[Values], Function]:
    """Return a function that returns the module's forward for a question, with the weights of the question in it."""

    def forward(values: Values) -> Function:
        inputs = values["inputs"]
        module = make(values).to(device=inputs.device, dtype=_own_dtype(inputs))
        if weight is None:
            return module
        given = values["weights"].t().contiguous() if weight.transposed else values["weights"]
        call = sys.modules["torch"].func.functional_call
        return lambda *arrays, **keywords: call(module, {weight.name: given}, arrays, keywords)

    return forward


# ---- which way of calling it runs -------------------------------------------------------------------------------


def _that_runs(ways: Sequence[Module], entry: Variant) -> Module:
    """Return the first way of calling a module that returns losses or logits of two rows.

    Labels are tried as they are, then as rows of 0 and 1. If no way runs, the first one is returned, so that the report
    says what goes wrong.
    """
    one_hot = [replace(way, roles=replace(way.roles, of=_with_one_hot(way.roles))) for way in ways]
    runs = [way for way in (*ways, *one_hot) if _runs(way, entry)]
    names = dict.fromkeys(way.weight.name for way in runs if way.weight is not None and way in ways)
    if len(names) > 1:
        raise CandidateError(f"each of {', '.join(names)} may be the weights; say which by --map NAME=weights.")
    return (runs or [*ways])[0]


def _with_one_hot(roles: Roles) -> dict[str, Role]:
    """Return what arguments mean if the labels are given as rows of 0 and 1."""
    return {name: "one_hot" if role == "labels" else role for name, role in roles.of.items()}


def _runs(way: Module, entry: Variant) -> bool:
    """Return whether a module returns something that has a shape of losses or of logits."""
    torch, rows = sys.modules["torch"], 2
    vectors = [torch.linspace(-0.9, 0.8, n * PROBE["D"]).sin().reshape(n, PROBE["D"]) for n in (rows, PROBE["C"])]
    arrays = vectors if way.level == "head" else [torch.linspace(-0.5, 0.75, rows * PROBE["C"]).reshape(rows, -1)]
    try:
        with quietly("while the candidate is tried"):
            result = way(*(a.clone().requires_grad_() * 1 for a in arrays), torch.tensor([0, 6]), **entry.parameters)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return False
    parts = result.values() if isinstance(result, Mapping) else result if isinstance(result, tuple) else (result,)
    shapes = {tuple(part.shape) for part in parts if hasattr(part, "shape")}
    return not shapes.isdisjoint({(), (rows,), (rows, PROBE["C"])})


def _taken(called: Module, constructor: Roles, fixed: Mapping[str, float]) -> str:
    """Return what was taken for what, in one line."""
    parts = [*constructor.renamed(called.level), *called.roles.renamed(called.level)]
    parts += [str(called.weight)] if called.weight is not None else []
    parts += [f"{name} = {value:g} from the attributes" for name, value in fixed.items()]
    parts += ["calls of cuda stay on the CPU"] if called.cuda else []
    return ", ".join(dict.fromkeys(parts))


# ---- PyTorch's settings -----------------------------------------------------------------------------------------


def _own_dtype(inputs: Any) -> Any:
    """Return the dtype that a module's own parameters have: that of its inputs, but float32 under autocast."""
    torch = sys.modules["torch"]
    is_half = inputs.dtype in (torch.float16, torch.bfloat16)
    return torch.float32 if is_half and torch.is_autocast_enabled(inputs.device.type) else inputs.dtype


@contextmanager
def _in_dtype(dtype: Any) -> Iterator[None]:
    """Make a dtype the default: code that writes torch.zeros(n) means the dtype that it trains in."""
    torch = sys.modules["torch"]
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def on_cpu() -> AbstractContextManager[Any]:
    """Return a context in which tensors that are to go to a GPU stay on the CPU."""
    torch = sys.modules["torch"]

    class OnCpu(torch.overrides.TorchFunctionMode):  # type: ignore[misc,name-defined]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.Tensor.cuda:
                return args[0]
            named = {name: _not_cuda(value) for name, value in (kwargs or {}).items()}
            return func(*map(_not_cuda, args), **named)

    return OnCpu()


def _not_cuda(value: Any) -> Any:
    """Return "cpu" in place of a GPU."""
    is_device = isinstance(value, str) or type(value).__name__ == "device"
    return "cpu" if is_device and str(value).startswith("cuda") else value
