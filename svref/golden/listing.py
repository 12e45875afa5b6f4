"""What a pack holds, line by line, and how two packs differ: for the commands `list` and `diff`.

Both take packs of large cases as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svref.golden.files.canonical import Json
from svref.golden.files.pack import Directory, PackFiles, is_large, pack_root, pack_roots, read_pack
from svref.golden.vectors import Vector, load
from svref.variants import spelt

if TYPE_CHECKING:
    from svref.golden.large import LargeCase

ABOUT = ("pack", "version", "purpose")


def lines(
    directory: Directory | None = None, pack: str | None = None, variant: str | None = None, group: str | None = None
) -> list[str]:
    """Return a line for each case: id, level, result, and why it exists; of a large one, the parameters.

    Parameters
    ----------
    directory, pack
        As `load` takes them; the pack may be one of large cases, and the directory a folder of packs.
    variant, group : str, optional
        Only the cases of this variant, and of this group.

    Raises
    ------
    ValueError
        If no pack has such a variant or group; the message lists those it has.
    VectorsError
        If the pack is damaged.
    """
    cases, variant = _cases(directory, pack), None if variant is None else spelt(variant)
    for option, value, known in (
        ("variant", variant, {case.variant for case in cases}), ("group", group, {case.group for case in cases}),
    ):  # fmt: skip
        if value is not None and value not in known:
            raise ValueError(f"{option} must be one of {', '.join(sorted(known))}; got {value!r}.")
    return [_line(case) for case in cases if variant in (None, case.variant) and group in (None, case.group)]


def differences(old: Directory, new: Directory) -> list[str]:
    """Return a line for each case, note and entry of the errata that was added, removed or changed, sorted.

    Parameters
    ----------
    old, new : path
        The directories of two packs.

    Raises
    ------
    VectorsError
        If one of them is damaged.
    """
    before, after = (_parts(pack_root(directory)) for directory in (old, new))
    return sorted(_changes(before, after))


def _cases(directory: Directory | None, pack: str | None = None) -> Sequence[Vector | LargeCase]:
    """Return the cases of a pack of either kind, or of all packs in a folder."""
    return [case for root in pack_roots(directory, pack) for case in _cases_in(root)]


def _cases_in(root: Path) -> Sequence[Vector | LargeCase]:
    """Return the cases of the pack in a folder."""
    if is_large(root):
        from svref.golden.large import load_large

        return load_large(root).cases
    return load(root).cases


def _line(case: Vector | LargeCase) -> str:
    """Return the line of a case; a large one has no flags, so its parameters stand there."""
    if isinstance(case, Vector):
        return f"{case.id:<40} {case.level:<7} {case.result:<10} {', '.join(case.flags)}"
    parameters = ", ".join(f"{name}={value:g}" for name, value in case.recipe.parameters.items())
    return f"{case.id:<40} {'cosine':<7} {'valid':<10} {parameters}"


def _changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    """Yield a line for each part that was added, removed or changed; for a changed one, the keys that differ."""
    yield from (f"removed  {name}" for name in before.keys() - after.keys())
    yield from (f"added    {name}" for name in after.keys() - before.keys())
    for name in before.keys() & after.keys():
        old, new = before[name], after[name]
        keys = sorted(key for key in old | new if old.get(key) != new.get(key))
        if keys:
            yield f"changed  {name}: {', '.join(keys)}"


def _parts(root: Path) -> dict[str, dict[str, Json]]:
    """Return the content of a pack by the names of its parts: the pack itself, cases, notes, errata and schemas."""
    pack = read_pack(root)
    parts = {"the pack": {name: pack.manifest[name] for name in ABOUT}}
    parts |= {case.id: _content(case) for case in _cases_in(root)}
    parts |= {f"note {flag}": texts for flag, texts in _notes(pack).items()}
    parts |= {f"errata {entry['id']}": entry for entry in _withdrawn(pack)}
    return parts | {name: {"content": data} for name, data in pack.files.items() if name.startswith("schema/")}


def _notes(pack: PackFiles) -> dict[str, dict[str, set[str]]]:
    """Return, by flag and key, all texts of the notes; files that disagree give more than one."""
    notes: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for _, group in pack.groups():
        for flag, note in group["notes"].items():
            for key, text in note.items():
                notes[flag][key].add(text)
    return notes


def _withdrawn(pack: PackFiles) -> Json:
    """Return the entries of the errata; a pack may be read without that file."""
    return pack.json("errata.json")["withdrawn"] if "errata.json" in pack.files else []


def _content(case: Vector | LargeCase) -> dict[str, Json]:
    """Return the content of a case, as values that can be compared with ==."""
    if isinstance(case, Vector):
        return {"variant": case.variant, "group": case.group, **case.case}
    from svref.golden.large import store

    return {**store.json_entry(case), **{n.split("/")[1]: x.tolist() for n, x in store.tensors(case).items()}}
