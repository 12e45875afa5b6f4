"""The folder as a crate: Cargo.toml, and src/lib.rs with the text of every file of the pack. It depends on nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from svref.golden.files.pack import LARGE, MANIFEST, SUMS, PackFiles

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")

_MANIFEST = """\
[package]
name = {name}
version = {version}
edition = "2021"
license = "MIT"
description = {description}
keywords = ["softmax", "margin", "vectors", "conformance"]
categories = ["development-tools::testing"]
include = {include}

[lib]
doctest = false
"""

_LIBRARY = """\
//! Golden vectors of the SV-X-Softmax losses, pack {pack}: {purpose}
//!
//! Every file of the pack is in [`FILES`]; [`file()`] finds one by its path in the pack.

/// The name of the pack.
pub const PACK: &str = {name};

/// The version of the pack, which is that of the crate.
pub const VERSION: &str = {version};

/// SHA-256 of manifest.json, which holds the SHA-256 of every other file.
pub const DIGEST: &str = "{digest}";

/// The path in the pack and the text of every file, in the order of the paths.
pub const FILES: &[(&str, &str)] = &[
{files}];

/// Returns the text of a file by its path in the pack, such as "manifest.json".
pub fn file(path: &str) -> Option<&'static str> {{
    FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}}
"""


def default_name(pack: PackFiles) -> str:
    """Return what the crate is called where the user gives no name."""
    return f"svref-vectors-{pack.name}"


def files(pack: PackFiles, name: str, others: Collection[str]) -> dict[str, bytes]:
    """Return Cargo.toml and src/lib.rs; `others` are the files beside the pack that belong into the crate.

    Raises
    ------
    ValueError
        For the pack `large`, which is no text.
    """
    if pack.has_large_cases:
        raise ValueError(f"a crate holds packs of text alone, and the pack {LARGE!r} has large.safetensors.")
    version, include = pack.manifest["version"], [f"/{path}" for path in (*sorted(others), "src/lib.rs", pack.name)]
    cargo = _MANIFEST.format(
        name=_quoted(name), version=_quoted(version), include=json.dumps(include),
        description=_quoted(f"Golden vectors of the SV-X-Softmax losses, pack {pack.name}"),
    )  # fmt: skip
    library = _LIBRARY.format(
        pack=pack.name, purpose=pack.manifest["purpose"], name=_quoted(pack.name), version=_quoted(version),
        digest=pack.digest, files="".join(_entry(pack.name, path) for path in sorted([*pack.files, MANIFEST, SUMS])),
    )  # fmt: skip
    return {"Cargo.toml": cargo.encode(), "src/lib.rs": library.encode()}


def _entry(pack: str, path: str) -> str:
    """Return the line of a file in the list of all."""
    return f'    ("{path}", include_str!("../{pack}/{path}")),\n'


def _quoted(text: str) -> str:
    """Return a text as a string of TOML and Rust, which write printable ASCII as JSON does."""
    return json.dumps(text, ensure_ascii=False)
