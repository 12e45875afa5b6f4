"""A pack that somebody edits on purpose: after the edit every digest fits again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from svref.golden.files import canonical

SEALS = ("manifest.json", "SHA256SUMS")


def seal(pack: Path, changed: Mapping[str, Any] | None = None) -> None:
    """Write the manifest again, with some keys changed, and the sums."""
    content = json.loads((pack / "manifest.json").read_bytes()) | dict(changed or {})
    files = {p.relative_to(pack).as_posix(): p for p in sorted(pack.rglob("*")) if p.is_file()}
    content["files"] = {name: canonical.file_digest(p.read_bytes()) for name, p in files.items() if name not in SEALS}
    (pack / "manifest.json").write_bytes(canonical.encoded(content))
    sums = {**content["files"], "manifest.json": canonical.file_digest((pack / "manifest.json").read_bytes())}
    (pack / "SHA256SUMS").write_bytes(canonical.sums(sums))


def replaced(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return what changes the bytes of a file and seals the pack."""

    def damage(pack: Path) -> None:
        before = (pack / name).read_bytes()
        assert change(before) != before
        (pack / name).write_bytes(change(before))
        seal(pack)

    return damage


def edited(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    """Return what changes the content of a JSON file, the digest of each of its cases too, and seals the pack."""

    def damage(pack: Path) -> None:
        content = json.loads((pack / name).read_bytes())
        change(content)
        for case in content.get("cases", ()) if name.startswith("groups/") else ():
            with contextlib.suppress(Exception):  # what cannot be digested keeps its digest
                case["digest"] = canonical.content_digest(case)
        (pack / name).write_bytes(canonical.encoded(content))
        seal(pack)

    return damage
