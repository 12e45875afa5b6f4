"""Examples kept as golden vectors: a pack of cases with certified values, which `svref check` judges by."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from svref.golden.files.pack import LARGE, shipped
from svref.golden.files.replacing import write_pack
from svref.golden.making.packs import Pack
from svref.golden.making.recipes import Recipe
from svref.strategies.example import Inputs
from svref.variants import Variant

GROUP, VERSION, PURPOSE = "found", "1.0.0", "Examples that a property test has found."
FLAGS = {
    "hard": "Hard",
    "tie": "NextToBoundary",
    "pole": "TargetAtPole",
    "kink": "BesidePiece",
    "negative-at-pole": "NegativeAtPole",
    "converged": "Confident",
    "underflowing": "Confident",
}  # what a row is at, as the notes of the packs call it; "Basic" for what has no such name


def save(directory: str | os.PathLike[str], *examples: Inputs) -> None:
    """Write examples as a pack of golden vectors, each with its right values, proven to the last bit.

    ``svref check my_loss.py:f --loss NAME --pack DIRECTORY`` judges by it, and so does any program that reads the
    format (docs/how-to/vectors.md).

    Parameters
    ----------
    directory : path
        The folder of the pack, whose last part is its name. A pack of that name there is replaced as a whole.
    *examples : Example or HeadExample
        Of losses that have a name in `svref.VARIANTS`. One that is given twice is one case.

    Raises
    ------
    ValueError
        If there is no example, a loss has no name, or the folder has the name of a pack of svref.
    VectorsError
        If the directory holds anything else; nothing is overwritten.
    ImportError
        Without python-flint: pip install 'svref[golden]'.
    """
    from svref.golden.making.records import build, id_of  # they need python-flint

    root = Path(directory)
    name = root.resolve().name
    _check_can_be_kept(name, examples)
    recipes = {id_of(recipe): recipe for recipe in map(recipe_of, examples)}.values()

    def of_variant(entry: Variant, group: str) -> Iterator[Recipe]:
        yield from (recipe for recipe in recipes if recipe.variant == entry.name)

    write_pack(root, build(Pack(name, VERSION, PURPOSE, {GROUP: of_variant})), name)


def _check_can_be_kept(name: str, examples: Sequence[Inputs]) -> None:
    """Raise a ValueError unless there are examples, all with named losses, and the name of the pack is free."""
    unnamed = next((example for example in examples if example.variant is None), None)
    if unnamed is not None or not examples:
        got = "no example" if unnamed is None else repr(unnamed.loss)
        raise ValueError(f"a pack is made of examples of the variants in svref.VARIANTS; got {got}.")
    if name in (taken := (*shipped(), LARGE)):
        raise ValueError(
            f"the folder's name becomes that of the pack, and {', '.join(taken)} are packs of svref; got {name!r}. "
            "Give another folder."
        )


def recipe_of(example: Inputs, group: str = GROUP) -> Recipe:
    """Return an example as the recipe of a golden case."""
    names = ("cosines",) if len(example.inputs) == 1 else ("embeddings", "weights")
    inputs = {name: array.tolist() for name, array in zip(names, example.inputs, strict=True)}
    inputs |= {"labels": example.labels.tolist(), "cotangent": example.cotangent.tolist()}
    kinds = {at.rstrip("0123456789").rstrip("+-") for at in example.at}
    flags = tuple(sorted({FLAGS.get(kind, "Basic") for kind in kinds}))
    return Recipe(str(example.variant), group, example.parameters, flags, inputs)
