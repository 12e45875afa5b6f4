"""What a table must say of the machine it was made on; never its name."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import svref
from svref.engine import threads

PACKAGES = ("threadpoolctl", "torch", "jax", "jaxlib", "tensorflow", "tensorflow-cpu", "matplotlib")


def facts() -> dict[str, Any]:
    """Return the processor, the memory, the system, the versions, and how busy the machine was."""
    return {
        "cpu": cpu(),
        "processors": processors(),
        "threads": threads.available(),
        "last_cache": last_cache(),
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver()) or 'unknown C library'}",
        "python": platform.python_version(),
        "svref": svref.__version__,
        "numpy": np.__version__,
        "blas": blas(),
        "versions": versions(),
        "allocator": os.environ.get("GLIBC_TUNABLES", "default"),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def cpu() -> str:
    """Return the processor's model."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def processors() -> int:
    """Return how many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_cache() -> str | None:
    """Return the size of the largest cache, as Linux writes it."""
    path = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    return path.read_text().strip() if path.exists() else None


def memory_gib() -> float | None:
    """Return the size of the memory."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def blas() -> str:
    """Return the BLAS that NumPy was built with."""
    config = np.show_config(mode="dicts")
    found = (config or {}).get("Build Dependencies", {}).get("blas", {})
    return f"{found.get('name', 'unknown')} {found.get('version', '')}".strip()


def versions() -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
