"""The strict test world: floating point errors raise, and every skip is counted against a reason."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("svref", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("svref")

SKIPS = {
    "PyTorch is not installed": "pip install 'svref[torch]'",
    "JAX is not installed": "pip install 'svref[jax]'",
    "TensorFlow is not installed": "pip install 'svref[tensorflow]'",
    "array-api-strict is not installed": "pip install array-api-strict",
    "long double is no wider than double": "run on a processor that has 80 or 128 bits",
    "there is no /proc on this platform": "run on Linux",
    "there is no fork on this platform": "run on a POSIX system",
    "no g++ with nlohmann/json is installed": "apt-get install g++ nlohmann-json3-dev",
    "Node is not installed": "install Node.js",
}


@pytest.fixture(autouse=True)
def _floating_point_errors_raise() -> Iterator[None]:
    """Overflow, division by zero and invalid operations are errors; underflow of exp is the normal case."""
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        yield


@pytest.fixture
def torch() -> object:
    """PyTorch, or a counted skip; SVREF_REQUIRE_TORCH=1 makes its absence a failure."""
    try:
        import torch
    except ImportError:
        if os.environ.get("SVREF_REQUIRE_TORCH") == "1":
            raise
        pytest.skip("PyTorch is not installed")
    return torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that ask for PyTorch, so that `-m torch` runs them alone."""
    for item in items:
        if "torch" in getattr(item, "fixturenames", ()):
            item.add_marker("torch")


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
