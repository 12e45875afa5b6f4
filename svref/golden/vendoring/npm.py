"""The folder as a package for Node: package.json. It holds data alone, so there is no script in it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from svref.golden.files.pack import PackFiles

NAME = re.compile(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*")


def default_name(pack: PackFiles) -> str:
    """Return what the package is called where the user gives no name."""
    return f"svref-vectors-{pack.name}"


def files(pack: PackFiles, name: str, others: Collection[str]) -> dict[str, bytes]:
    """Return package.json; `others` are the files beside the pack that belong into the package.

    A file of the pack is ``<name>/<path in the pack>`` for `require` and `import`, and `<name>` is the manifest.
    """
    content = {
        "name": name,
        "version": pack.manifest["version"],
        "description": f"Golden vectors of the SV-X-Softmax losses, pack {pack.name}: {pack.manifest['purpose']}",
        "license": "MIT",
        "keywords": ["softmax", "margin", "face recognition", "test vectors"],
        "sideEffects": False,
        "files": [*sorted(others), pack.name],
        "exports": {
            ".": f"./{pack.name}/manifest.json",
            "./package.json": "./package.json",
            "./*": f"./{pack.name}/*",
        },
    }
    return {"package.json": json.dumps(content, indent=2).encode() + b"\n"}
