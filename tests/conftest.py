"""The strict test world: floating point errors raise, and every skip is counted against a reason."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("svref", deadline=None, derandomize=True, print_blob=True, max_examples=60)
settings.load_profile("svref")

SKIPS = {
    "PyTorch is not installed": "pip install 'svref[torch]'",
    "JAX is not installed": "pip install 'svref[jax]'",
    "TensorFlow is not installed": "pip install 'svref[tensorflow]'",
    "ml_dtypes is not installed": "pip install 'svref[half]'",
    "Sphinx is not installed": "pip install 'svref[docs]'",
    "array-api-strict is not installed": "pip install array-api-strict",
    "long double is no wider than double": "run on a processor that has 80 or 128 bits",
    "there is no /proc on this platform": "run on Linux",
    "there is no fork on this platform": "run on a POSIX system",
    "only root may make devices": "run as root",
    "no g++ with nlohmann/json is installed": "apt-get install g++ nlohmann-json3-dev",
    "Node is not installed": "install Node.js",
    "npm is not installed": "install npm",
    "Cargo is not installed": "install Rust",
    "Go is not installed": "install Go",
    "sha256sum is not installed": "install the GNU coreutils",
    "Playwright or Chromium is not installed": "pip install playwright, apt-get install chromium",
}


@pytest.fixture(autouse=True)
def _floating_point_errors_raise() -> Iterator[None]:
    """Overflow, division by zero and invalid operations are errors; underflow of exp is the normal case."""
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        yield


def installed(name: str, title: str) -> Any:
    """Return a framework, or a counted skip; SVREF_REQUIRE_FRAMEWORKS=1 makes its absence a failure.

    Its import may warn, which is none of svref's business.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        if os.environ.get("SVREF_REQUIRE_FRAMEWORKS") == "1":
            raise
        pytest.skip(f"{title} is not installed")


@pytest.fixture
def torch() -> Any:
    """PyTorch."""
    return installed("torch", "PyTorch")


@pytest.fixture
def jax() -> Any:
    """JAX."""
    return installed("jax", "JAX")


@pytest.fixture
def tensorflow() -> Any:
    """TensorFlow."""
    return installed("tensorflow", "TensorFlow")


@pytest.fixture
def strict() -> Any:
    """The strict namespace of the array API."""
    return installed("array_api_strict", "array-api-strict")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for a framework, so that `-m framework` runs them alone."""
    for item in items:
        if {"torch", "jax", "tensorflow", "strict"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("framework")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the skips by reason; one without a known reason fails in `pytest_sessionfinish`."""
    for reason, remedy in SKIPS.items():
        count = len(_skips(terminalreporter, reason))
        if count:
            terminalreporter.write_line(f"{count} skipped: {reason} ({remedy})")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test was skipped for a reason that is not in the list."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    unknown = len(_skips(reporter, "")) - sum(len(_skips(reporter, reason)) for reason in SKIPS)
    if unknown and session.exitstatus == 0:
        reporter.write_line(f"{unknown} tests were skipped without a counted reason")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skips(reporter: pytest.TerminalReporter, reason: str) -> list[pytest.TestReport]:
    return [report for report in reporter.stats.get("skipped", []) if reason in str(report.longrepr)]


@pytest.fixture
def undiagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for no name and for no reading: they are most of the time of a check that fails, and have their own tests."""
    from svref.conformance.checking import judged, report
    from svref.conformance.checking.variations import trying

    for module in (report, trying):
        monkeypatch.setattr(module, "explanations", lambda *arguments, **options: ())
    monkeypatch.setattr(judged, "reading_of", lambda *arguments, **options: None)


@pytest.fixture
def singles_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search the single mistakes alone: tests that one of them is not named need no combinations, which take longest."""
    from svref.conformance.checking import report

    search = report.explanations
    monkeypatch.setattr(report, "explanations", lambda *arguments: search(*arguments[:3], only_single=True))
