"""The pages about half precision say what is true: their tables are the plans, the formats, the power of core.

python tests/test_precisions.py            prints the tables of docs/reference/precisions.md and of the explanation
python tests/test_precisions.py --write    writes them there
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import public_halves
import pytest

from svref import golden
from svref.deviations import DEVIATIONS
from svref.formats import FORMATS
from svref.golden.making.beyond import BEYOND
from svref.golden.making.power import matrix
from svref.judging.precision import PRECISIONS, STAGES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "precisions.md"
EXPLAINED = ROOT / "docs" / "explanation" / "half-precision.md"
NARROW = [name for name in PRECISIONS if name not in ("float64", "float32")]


# ---- what is written into the pages ---------------------------------------------------------------------------------


def table_of_plans() -> Iterator[str]:
    """Yield the lines of the table of presets with several formats: the format of each stage."""
    yield f"| stage | {' | '.join(NARROW)} |"
    yield "|---" * (1 + len(NARROW)) + "|"
    for stage in STAGES:
        yield f"| `{stage}` | {' | '.join(PRECISIONS[name].stages[stage] for name in NARROW)} |"


def table_of_formats() -> Iterator[str]:
    """Yield the lines of the table of formats."""
    yield "| format | digits | u | largest | beyond it | smallest normal | below it |"
    yield "|---" * 7 + "|"
    for name, form in FORMATS.items():
        smallest = np.ldexp(np.float64(1), form.lowest - form.digits + 1)
        beyond = "infinity" if form.has_infinity else "the largest"
        below = "may become 0" if form.is_flushed else f"fewer digits, down to {smallest:.3g}"
        cells = (f"{form.unit_roundoff:.3g}", f"{form.largest:.3g}", beyond, f"{form.tiny:.3g}", below)
        yield f"| {name} | {form.digits} | {' | '.join(cells)} |"


def table_of_dtypes() -> Iterator[str]:
    """Yield the lines of the table of dtypes: of inputs and outputs, of cosines and of heads."""
    yield "| plan | cosines | their gradient | losses | embeddings, weights | their gradients | losses of a head |"
    yield "|---" * 7 + "|"
    for plan in PRECISIONS.values():
        inputs = [plan.inputs(level) for level in ("cosine", "head")]
        yield f"| `{plan.name}` | {' | '.join(f'{i} | {i} | {plan.loss}' for i in inputs)} |"


def table_of_power() -> Iterator[str]:
    """Yield the lines of the kill matrix: cases of cosines and of heads that expose a deviation, by precision."""
    of_cosines, of_heads = (matrix(golden.load(), level) for level in ("cosine", "head"))
    yield f"| deviation | {' | '.join(PRECISIONS)} |"
    yield "|---" * (1 + len(PRECISIONS)) + "|"
    for name in DEVIATIONS:
        pairs = [(of_cosines[name][precision], of_heads[name][precision]) for precision in PRECISIONS]
        cells = [f"{cosines} + {heads}" if cosines + heads else "-" for cosines, heads in pairs]
        yield f"| `{name}` | {' | '.join(cells)} |"


def table_of_shares() -> Iterator[str]:
    """Yield the lines of the summary of the kill matrix: how many deviations some case exposes, of how many."""
    counts = matrix(golden.load())
    known = [name for name in DEVIATIONS if counts[name]["float32"]]
    yield "| plan | deviations that a case exposes | of those that float32 exposes |"
    yield "|---|---|---|"
    for precision in PRECISIONS:
        found = [name for name in DEVIATIONS if counts[name][precision]]
        share = sum(counts[name][precision] > 0 for name in known) / len(known)
        yield f"| `{precision}` | {len(found)} of {len(DEVIATIONS)} | {share:.0%} |"


def table_of_beyond() -> Iterator[str]:
    """Yield the lines of the table of what cannot be told: mistakes and precisions by reason."""
    yield "| mistake | where | plans | why |"
    yield "|---|---|---|---|"
    places: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for b in BEYOND:
        plans = in_words([name for name in NARROW if name in b.precisions])
        where = " ".join(word for word in (f"{b.level}s" if b.level else "", WORDS[b.margins]) if word) or "everywhere"
        if plans:
            places[where, plans, b.why] += [f"`{name}`" for name in b.names]
    for (where, plans, why), names in places.items():
        yield f"| {', '.join(names)} | {where} | {plans} | {why} |"


WORDS = {"all": "", "with an angle": "with an angle", "of pieces": "of A-Softmax", "combined": "of the combined margin"}


def in_words(precisions: list[str]) -> str:
    """Return the names of plans, or how they are called together."""
    half = [name for name in NARROW if name != "tf32"]
    return {tuple(NARROW): "all narrow ones", tuple(half): "all half plans"}.get(
        tuple(precisions), ", ".join(precisions)
    )


TABLES: dict[str, tuple[Path, Callable[[], Iterator[str]]]] = {
    "plans": (PAGE, table_of_plans),
    "formats": (PAGE, table_of_formats),
    "dtypes": (PAGE, table_of_dtypes),
    "shares": (PAGE, table_of_shares),
    "power": (PAGE, table_of_power),
    "beyond": (EXPLAINED, table_of_beyond),
    "tests": (EXPLAINED, public_halves.lines_on_tests),
}


def table_on_page(page: Path, name: str) -> str:
    """Return a table of a page, between its comments."""
    found = re.search(
        rf"<!-- table:{name} -->\n\n(.*?)\n\n<!-- /table -->", page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found, name
    return found[1]


# ---- the tests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_the_plans_the_formats_and_the_power_of_core(name: str) -> None:
    page, lines_of = TABLES[name]
    assert table_on_page(page, name) == "\n".join(lines_of()), "run python tests/test_precisions.py --write"


@pytest.mark.parametrize("place", range(len(public_halves.CASES)))
def test_a_public_mistake_has_the_verdict_of_the_page_and_passes_the_tests_that_the_page_says(place: int) -> None:
    case, shown = public_halves.CASES[place], table_on_page(EXPLAINED, "public").splitlines()
    assert len(shown) == len(public_halves.CASES) + 2
    assert shown[place + 2] == public_halves.line(case), "run python tests/public_halves.py --write"


def test_right_code_passes_everywhere_and_no_mistake_passes_svref() -> None:
    rows = [line.strip("| ").split(" | ") for line in table_on_page(EXPLAINED, "public").splitlines()[2:]]
    assert all(row[1].startswith("PASS") and row[2:] == ["passes"] * 5 for row in rows[:2])
    assert all(row[1].startswith("FAIL") for row in rows[2:])


def main() -> None:
    """Print the tables, or write them into the pages."""
    for name, (page, lines_of) in TABLES.items():
        lines = "\n".join(lines_of())
        print(f"{name}\n{lines}", flush=True)
        if "--write" in sys.argv:
            shown, text = table_on_page(page, name), page.read_text(encoding="utf-8")
            begin = f"<!-- table:{name} -->\n\n"
            page.write_text(text.replace(f"{begin}{shown}\n", f"{begin}{lines}\n"), encoding="utf-8")


if __name__ == "__main__":
    main()
