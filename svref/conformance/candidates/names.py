"""The names that svref computes with: NumPy's, Python's and svref's own, guarded against a candidate that changes them.

A candidate that sets ``np.abs`` to a function of its own makes the judge blind, which takes |error| with it. What each
name stands for is noted before the candidate is loaded. After every call, names that stand for something else are set
back, and the report says so. Code that wants to deceive can, for it runs in the same process: this is about code that
patches a library, as some do, and about tests that were left in.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import itertools
import math
import operator
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

OWN = "svref"
PYTHON = (builtins, math, operator, itertools, functools, inspect)
NUMPY = ("numpy", "numpy.linalg")
INSIDE_NUMPY = ("numpy._core.", "numpy.lib._", "numpy.linalg._", "numpy.random.")
# Names that libraries and shells set for good reason, and that no number depends on.
# `import torch` sets inspect.getfile.
FREE = {
    "getfile",
    "_",
    "__import__",
    "print",
    "input",
    "open",
    "help",
    "exit",
    "quit",
    "breakpoint",
    "__warningregistry__",
}
WRAPPERS: tuple[tuple[type, str], ...] = (  # where a method, a property or a cache keeps its function
    (staticmethod, "__func__"),
    (classmethod, "__func__"),
    (property, "fget"),
    (functools.cached_property, "func"),
    (functools._lru_cache_wrapper, "__wrapped__"),
)
CODE = ("__code__", "__defaults__", "__kwdefaults__")  # what a function does, which can be set in place
MISSING = object()


class Space:
    """The names of one module, class or table, with what they stand for.

    Parameters
    ----------
    title : str
        How a report calls it.
    owner : module, class or dict
        Whose names they are.
    """

    def __init__(self, title: str, owner: Any) -> None:
        self.title, self.owner = title, owner
        self.held: Mapping[Any, Any] = owner if isinstance(owner, dict) else vars(owner)  # a view: it shows changes
        self._remember()

    def _remember(self) -> None:
        """Note what each name stands for now; in `values` alone, so that the usual comparison runs in C."""
        self.names = {name: value for name, value in self.held.items() if name not in FREE}
        self.values = list(self.held.values())

    def is_same(self) -> bool:
        """Return whether no name was set or added since."""
        try:
            return self.values == list(self.held.values())
        except Exception:  # an array was put in the place of something, and has no truth value
            return False

    def set_back(self) -> list[str]:
        """Set back what was changed, and return its names. Added names may stay."""
        now = dict(self.held)
        changed = [name for name, value in self.names.items() if now.get(name, MISSING) is not value]
        for name in changed:
            self._set(name, self.names[name])
        self._remember()
        return [
            f"{self.title}[{name!r}]" if isinstance(self.owner, dict) else f"{self.title}.{name}" for name in changed
        ]

    def _set(self, name: Any, value: Any) -> None:
        if isinstance(self.owner, dict):
            self.owner[name] = value
        else:
            setattr(self.owner, name, value)


class Names:
    """All names that svref computes with, as they were when this object was made.

    Attributes
    ----------
    changed : list of str
        The names that were changed since, as "numpy.abs".
    late : list of str
        Those that only the end of the run showed: what was judged until then means nothing.
    """

    def __init__(self) -> None:
        loaded: list[Any] = list(sys.modules.values())
        self.loaded = loaded
        modules = {module.__name__: module for module in loaded if isinstance(module, ModuleType) and _is_used(module)}
        self.modules = [Space(name, module) for name, module in modules.items()]
        own = [module for name, module in modules.items() if _is_own(name)]
        self.parts = [part for module in own for part in _parts(module)]
        spaces = [*(space for space in self.modules if _is_own(space.title)), *self.parts]
        self.codes = [(f, _code_of(f)) for f in _functions(value for space in spaces for value in space.values)]
        self.changed: list[str] = []
        self.late: list[str] = []

    def is_current(self) -> bool:
        """Return whether everything is as it was when this object was made. This takes 2 ms, and making it 12 ms."""
        return (
            self.loaded == list(sys.modules.values())
            and all(space.is_same() for space in (*self.modules, *self.parts))
            and self._has_same_codes()
        )

    def _has_same_codes(self) -> bool:
        """Return whether every function of svref does what it did."""
        now = [part for function, _ in self.codes for part in _code_of(function)]
        then = [part for _, code in self.codes for part in code]
        return all(map(operator.is_, now, then))

    def set_back(self) -> None:
        """Set back what was changed in modules, and note its names. This takes 60 us."""
        self._set_back(self.modules)

    def set_back_all(self) -> None:
        """Do so also in classes, tables and the code of functions of svref. This takes 2 ms."""
        self._set_back([*self.modules, *self.parts])
        if self._has_same_codes():
            return
        for function, code in self.codes:
            if not _is_same_code(function, code):
                self._note([f"{function.__module__}.{function.__qualname__}"])
                for name, value in zip(CODE, code, strict=True):
                    setattr(function, name, value)

    def _set_back(self, spaces: Sequence[Space]) -> None:
        for space in spaces:
            if not space.is_same():
                self._note(space.set_back())

    def _note(self, names: list[str]) -> None:
        self.changed += [name for name in names if name not in self.changed]


def _is_own(name: str) -> bool:
    """Return whether a name is svref or one of its own."""
    return name.split(".")[0] == OWN


def _is_used(module: ModuleType) -> bool:
    """Return whether svref computes with a module."""
    name = module.__name__
    return _is_own(name) or module in PYTHON or name in NUMPY or name.startswith(INSIDE_NUMPY)


def _parts(module: ModuleType) -> Iterator[Space]:
    """Yield the classes that a module of svref defines, and its tables."""
    for key, value in list(vars(module).items()):
        is_class = isinstance(value, type) and value.__module__ == module.__name__
        if is_class or (isinstance(value, dict) and not key.startswith("__")):
            yield Space(f"{module.__name__}.{key}", value)


def _functions(values: Iterable[Any]) -> list[FunctionType]:
    """Return the functions among some values; also those inside methods, properties and caches."""
    found: dict[int, FunctionType] = {}
    for value in values:
        kept_by = next((getattr(value, name) for kind, name in WRAPPERS if isinstance(value, kind)), value)
        if isinstance(kept_by, FunctionType):
            found[id(kept_by)] = kept_by
    return list(found.values())


def _code_of(function: FunctionType) -> tuple[Any, ...]:
    """Return what a function does."""
    return function.__code__, function.__defaults__, function.__kwdefaults__


def _is_same_code(function: FunctionType, code: tuple[Any, ...]) -> bool:
    """Return whether a function does what it did."""
    return all(new is old for new, old in zip(_code_of(function), code, strict=True))


# ---- the names of the run that is going on ----------------------------------------------------------------------

_watched: list[Names] = []
_last: list[Names] = []  # of the last run, which serve the next one if nothing was changed since: tests are short runs


@contextmanager
def watched() -> Iterator[Names]:
    """Watch the names until the end of a run."""
    names = _last.pop() if _last and _last[0].is_current() else Names()
    names.changed, names.late = [], []
    _watched.append(names)
    try:
        yield names
    finally:
        known = len(names.changed)
        names.set_back_all()
        names.late = names.changed[known:]
        _watched.remove(names)
        _last[:] = [names]


def set_back() -> None:
    """Set back what was changed; nothing happens where no run is going on."""
    for names in _watched[-1:]:
        names.set_back()


def changed() -> list[str]:
    """Return the names that were changed in this run so far."""
    return _watched[-1].changed if _watched else []


def of_svref(changed: Sequence[str]) -> list[str]:
    """Return those of some names that are svref's own."""
    return [name for name in changed if name.startswith(f"{OWN}.")]
