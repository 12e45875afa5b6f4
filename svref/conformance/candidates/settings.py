"""How the settings of the process are as before, whatever foreign code did to them: read first, written back after.

A candidate that leaves ``torch.set_grad_enabled(False)`` behind would change the training of a user who calls
`svref.check`. A library that the candidate imports gets the settings back that it had just after its import.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One setting of the process.

    Parameters
    ----------
    name : str
        What it is.
    read : callable
        Returns its value.
    write : callable
        Takes a value that `read` returned, and sets it.
    module : str
        The library it belongs to. The setting is left alone until that library is imported.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    module: str = "builtins"

    def write_back(self, value: Any) -> None:
        """Write a value that was read earlier, unless it has stayed the same."""
        if not _surely_equal(self.read(), value):
            self.write(value)


def _surely_equal(one: Any, other: Any) -> bool:
    """Return whether two values are equal; arrays and tensors, which have no truth value, count as different."""
    try:
        return bool(one == other)
    except Exception:
        return False


@contextmanager
def kept(settings: Sequence[Setting]) -> Iterator[None]:
    """Write the settings of all imported libraries back at the end."""
    before = _read(settings, sys.modules)
    try:
        yield
    finally:
        _write_back(before)


@contextmanager
def kept_with_imports(settings: Sequence[Setting]) -> Iterator[None]:
    """Do as `kept` does; libraries that are imported meanwhile get the settings they had just after their import."""
    before = _read(settings, sys.modules)
    missing = {setting.module for setting in settings} - sys.modules.keys()
    finder = _Finder(missing, lambda name: before.extend(_read(settings, [name])))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        _write_back(before)


def _read(settings: Iterable[Setting], modules: Iterable[str]) -> list[tuple[Setting, Any]]:
    """Return the settings that belong to some modules, with their values; sys.modules may say None: not installed."""
    there = (setting for setting in settings if setting.module in modules and sys.modules[setting.module] is not None)
    return [(setting, setting.read()) for setting in there]


def _write_back(values: Iterable[tuple[Setting, Any]]) -> None:
    """Write all settings back, also if one of them cannot be written; the first error is raised at the end."""
    errors = []
    for setting, value in values:
        try:
            setting.write_back(value)
        except Exception as error:
            error.add_note(f"svref could not set the {setting.name} back to {value!r:.60}")
            errors.append(error)
    if errors:
        raise errors[0]


class _Finder:
    """Finds libraries as Python does, and calls a function with a library's name once its import is complete."""

    def __init__(self, libraries: set[str], imported: Callable[[str], object]) -> None:
        self.libraries, self.imported = libraries, imported

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Return the spec that the next finder finds, with a loader that reports; None for all other modules."""
        if name not in self.libraries:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and hasattr(spec.loader, "__dict__"):
            self._report_after(spec.loader, name)
        return spec

    def _report_after(self, loader: Any, name: str) -> None:
        """Have a loader report when it has run a module; the loader is as before then."""
        run = loader.exec_module

        def run_and_report(module: Any) -> None:
            del loader.exec_module
            run(module)
            self.imported(name)

        loader.exec_module = run_and_report
