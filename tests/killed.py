"""The check, measured: which planted mistakes it finds and names, and which right code it rejects.

python tests/killed.py            every deviation on every variant that shows it, in float64 and float32
python tests/killed.py --heads    the same in heads, of all deviations
python tests/killed.py --right    right formulations in every framework that is installed; none may be rejected
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from formulations import FORMULATIONS, HEADS, candidate
from test_adapters import JAX, LOSSES, TF, TORCH
from test_diagnosis import CORE, DTYPES, planted
from test_heads_checked import head_of

from svref import VARIANTS
from svref.conformance import Report, check
from svref.deviations import DEVIATIONS

Form = tuple[str, str, str | None, Callable[..., Any]]  # what it is, its variant, its framework, the candidate


def showing(name: str, dtype: str, level: str) -> list[str]:
    """Return the variants of which some case of a level exposes a deviation firmly."""
    exposed = (v for v in CORE if v.level == level and dtype in v.case["power"])
    return list(dict.fromkeys(v.variant for v in exposed if name in v.case["power"][dtype]["firm"]))


def outcome(name: str, report: Report) -> str:
    """Return what became of a planted mistake."""
    names = [d.name for d in report.diagnosis if d.complete]
    if report.ok:
        return "missed"
    return "named" if names[:1] == [name] else "named beside others" if name in names else "found, not named"


def kill_matrix(heads: bool) -> None:
    """Print, deviation by deviation, on how many variants it is found and named: at its own level, or in heads."""
    total: Counter[str] = Counter()
    for name in DEVIATIONS:
        for dtype in DTYPES:
            found: Counter[str] = Counter()
            level = "head" if heads else DEVIATIONS[name].level
            for variant in showing(name, dtype, level):
                report = check(planted(name, variant, level), variant, dtype=dtype)
                found[outcome(name, report)] += 1
                if outcome(name, report) in ("missed", "found, not named"):
                    print(f"  {variant}: {report.verdict}")
            total += found
            told = ", ".join(f"{number} {what}" for what, number in found.items()) or "no variant shows it"
            print(f"{name:<36}{dtype:<9}{told}", flush=True)
    print(", ".join(f"{number} {what}" for what, number in total.items()))


def right_forms() -> Iterator[Form]:
    """Yield right code: NumPy on cosines and in heads for every variant, and each framework's ways."""
    for name in VARIANTS:
        for margin, loss in FORMULATIONS:
            yield f"numpy {margin} {loss}", name, "numpy", candidate(name, margin, loss)
        for head, made in HEADS.items():
            yield f"numpy {head}", name, "numpy", head_of(name, made)
    ways = {"torch": (TORCH, ["torch"]), "jax": (JAX, ["jax"]), "tensorflow": (TF, ["tensorflow", "tf.function"])}
    for module, (forms, frameworks) in ways.items():
        if importlib.util.find_spec(module) is not None:
            library = importlib.import_module(module)
            for name in LOSSES:
                for form in forms:
                    for framework in frameworks:
                        yield f"{framework} {form.__name__}", name, framework, form(library, name)


def false_alarms() -> None:
    """Print, formulation by formulation, how many checks of it passed, and what was said where one did not."""
    passed: Counter[str] = Counter()
    alarms = 0
    for what, name, framework, function in right_forms():
        for dtype in DTYPES:
            report = check(function, name, dtype=dtype, framework=framework)
            passed[what] += report.ok
            if not report.ok:
                alarms += 1
                print(f"  {what}, {name}, {dtype}: {report.verdict}", flush=True)
    for what, number in passed.items():
        print(f"{what:<44}{number:>3} passed")
    print(f"{len(passed)} formulations, {sum(passed.values())} checks passed, {alarms} false alarms")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        sys.exit(false_alarms() if "--right" in sys.argv else kill_matrix("--heads" in sys.argv))
