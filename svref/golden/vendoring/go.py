"""The folder as a Go module: go.mod, and embed.go, which embeds the files of the pack. It requires no other module."""

from __future__ import annotations

import re
from collections.abc import Collection

from svref.golden.files.pack import PackFiles

NAME = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")

_EMBED = """\
// Package vectors holds golden vectors of the SV-X-Softmax losses, pack {pack}:
// {purpose}
package vectors

import (
\t"embed"
\t"io/fs"
)

// Pack is the name of the pack.
const Pack = "{pack}"

// Version is the version of the pack.
const Version = "{version}"

// Digest is SHA-256 of manifest.json, which holds the SHA-256 of every other file.
const Digest = "{digest}"

//go:embed all:{pack}
var folder embed.FS

// Files returns the files of the pack: fs.ReadFile(vectors.Files(), "manifest.json") reads one.
func Files() fs.FS {{
\tfiles, err := fs.Sub(folder, Pack)
\tif err != nil {{
\t\tpanic(err) // cannot be: the compiler has embedded the folder
\t}}
\treturn files
}}
"""


def default_name(pack: PackFiles) -> str:
    """Return the path of the module where the user gives none: one that serves only beside a `replace` line."""
    return f"example.com/svref-vectors-{pack.name}{_ending(pack)}"


def _ending(pack: PackFiles) -> str:
    """Return what Go wants at the end of the path of a module: /v2 in version 2, and nothing in versions 0 and 1."""
    major = int(pack.manifest["version"].split(".")[0])
    return f"/v{major}" if major > 1 else ""


def files(pack: PackFiles, name: str, others: Collection[str]) -> dict[str, bytes]:
    """Return go.mod and embed.go; a module holds all files of its folder, so `others` changes nothing.

    Raises
    ------
    ValueError
        If the path of the module does not end as Go wants it for the version of the pack.
    """
    if not name.endswith(_ending(pack)):
        version, end = pack.manifest["version"], _ending(pack)
        raise ValueError(
            f"the path of a Go module of version {version} must end with {end}; got {name!r}. "
            f"Give --package go={name}{end}."
        )
    embed = _EMBED.format(
        pack=pack.name, purpose=pack.manifest["purpose"], version=pack.manifest["version"], digest=pack.digest
    )
    return {"go.mod": f"module {name}\n\ngo 1.18\n".encode(), "embed.go": embed.encode()}
