"""The pages about the check say what is true: their tables are the registry, their screens what the commands print.

python tests/test_pages.py            prints the tables of docs/reference/deviations.md
python tests/test_pages.py --write    writes them there, and the screens into the pages that show one
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from svref import golden
from svref.conformance import check
from svref.conformance.mistakes.departure import ORDER
from svref.conformance.mistakes.guesses import LOSING, pairs, singles
from svref.deviations import DEVIATIONS, backward, batches, heads, negatives, results, rounding, target
from svref.deviations.families import FAMILIES, Family
from svref.golden.files.checks import validate
from svref.golden.files.pack import shipped
from svref.golden.making.power import matrix
from svref.variants import VARIANTS

ROOT = Path(__file__).parent.parent
REGISTRY = ROOT / "docs" / "reference" / "deviations.md"
REPORT = ROOT / "docs" / "reference" / "report.md"
CHECK = ROOT / "docs" / "how-to" / "check.md"
DIAGNOSE = ROOT / "docs" / "how-to" / "diagnose.md"
README = ROOT / "README.md"
VECTORS = ROOT / "docs" / "reference" / "vectors.md"
NAN = ROOT / "docs" / "how-to" / "get-rid-of-nan.md"
HALF = ROOT / "docs" / "how-to" / "half-precision.md"
PAGES = (REGISTRY, REPORT, CHECK, DIAGNOSE, NAN, HALF)
OF_THE_MACHINE = re.compile(r"[\d.,e+-]+ times")  # errors of sums that PyTorch adds in an order of its own
TORCH = "nan_torch.py"  # screens of this candidate need PyTorch
STAGES = {
    "target": target,
    "negatives": negatives,
    "results": results,
    "rounding": rounding,
    "backward": backward,
    "heads": heads,
    "batches": batches,
}
VERDICTS = ("PASS", "PASS-BRANCH", "FAIL", "FAIL-AS", "VACUOUS", "UNSUPPORTED", "ERROR")
SCREEN = re.compile(r"```sh\n(svref [^\n]*)\n```\n\n```text\n(svref\b.*?)```", re.DOTALL)


# ---- what is written into the pages ---------------------------------------------------------------------------------


def table_of_stage(stage: str) -> Iterator[str]:
    """Yield the lines of the table of the deviations of one stage."""
    counts = matrix(golden.load())
    yield f"| name | formula | loss and gradient | seen | level | {' | '.join(SHOWN)} |"
    yield "|---" * (5 + len(SHOWN)) + "|"
    for entry in vars(STAGES[stage]).values():
        if DEVIATIONS.get(getattr(entry, "name", "")) is entry:
            cells = [
                f"`{entry.name}`",
                f"`{entry.formula}`",
                entry.effect,
                "; ".join(map(place, entry.seen)),
                entry.level,
            ]
            yield row([*cells, *(str(counts[entry.name][precision]) for precision in SHOWN)])


def table_of_generated() -> Iterator[str]:
    """Yield the lines of the table of hypotheses that are no entries of the registry."""
    asked: dict[tuple[str, str], list[str]] = {}
    sizes: dict[tuple[str, str], list[str]] = {}
    for variant, entry in VARIANTS.items():
        for hypothesis in singles(entry):
            if hypothesis.name not in DEVIATIONS or hypothesis.name.startswith("precision-downcast"):
                name, _, size = hypothesis.name.rstrip(")").partition("(")
                key = (
                    f"{name}(size)" if size else name,
                    hypothesis.formula.replace(size.split(" ")[0] or "\0", "size"),
                )
                asked.setdefault(key, []).append(variant)
                sizes.setdefault(key, []).append(size)
    yield "| name | formula | sizes | asked of |"
    yield "|---|---|---|---|"
    for (name, formula), variants in asked.items():
        of = "all" if set(variants) == set(VARIANTS) else ", ".join(variants)
        yield row([f"`{name}`", f"`{formula}`", ", ".join(dict.fromkeys(sizes[name, formula])), of])


def table_of_pairs() -> Iterator[str]:
    """Yield a line that counts the pairs."""
    names = [hypothesis.name for hypothesis in pairs()]
    yield f"{len(names)} pairs are tried, `{names[0]}` first. What loses numbers: {', '.join(f'`{n}`' for n in LOSING)}."


SHOWN = ("float64", "float32", "autocast-bfloat16", "bfloat16")  # all others: docs/reference/precisions.md
MOST_IN_ROW = 8  # families with one effect are named one by one up to this many; of more, the first and the last


def table_of_families() -> Iterator[str]:
    """Yield the lines of the table of the families; those with one effect share a row."""
    by_effect: dict[str, list[Family]] = {}
    for entry in FAMILIES.values():
        by_effect.setdefault(entry.effect, []).append(entry)
    yield "| names | formulas | effect | sizes |"
    yield "|---|---|---|---|"
    for effect, entries in by_effect.items():
        few = entries if len(entries) <= MOST_IN_ROW else [entries[0], entries[-1]]
        more = "" if few is entries else f" ({len(entries)} in all)"
        names = " to ".join(f"`{e.name}`" for e in few) if more else ", ".join(f"`{e.name}`" for e in few)
        formulas = "; ".join(f"`{e.formula.format(size='a number or a law')}`" for e in few)
        yield row([names + more, formulas, effect, sizes_of(entries[0])])


def sizes_of(entry: Family) -> str:
    """Return which sizes of a family are tried and fitted."""
    tried = ", ".join(dict.fromkeys(law.text for law in entry.tried))
    fitted = f"fitted from {entry.between[0]:g} to {entry.between[1]:g}" if entry.between else ""
    return "; ".join(filter(None, (tried, fitted))) or "none"


def place(seen: str) -> str:
    """Return where a deviation was seen, with repository and path as code."""
    return re.sub(r"^[\w.-]+/[\w.-]+(#\d+|:[\w./-]+\.\w+|:[\w./-]+)?", r"`\g<0>`", seen)


def row(cells: list[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def cases_that_ship() -> str:
    """Return how many cases ship, as the README says it."""
    cases = [v.result for name in shipped() for v in golden.load(pack=name)]
    raising = cases.count("error")
    return (
        f"{len(cases)} cases ship with svref as plain JSON, {len(cases) - raising} with certified losses and gradients "
        f"and {raising} whose inputs must raise."
    )


COUNTED = {  # sentences with a number that is counted: a page, what the sentence is found by, and what it must be
    "cases": (README, r"\d+ cases\s+ship.*?must\s+raise\.", cases_that_ship),
    "deviations": (README, r"\d+ known deviations", lambda: f"{len(DEVIATIONS)} known deviations"),
    "departures": (VECTORS, r"\d+ known departures", lambda: f"{len(DEVIATIONS)} known departures"),
}

TABLES = {
    **{stage: lambda stage=stage: table_of_stage(stage) for stage in STAGES},
    "generated": table_of_generated,
    "families": table_of_families,
    "pairs": table_of_pairs,
}


def table_of(text: str, name: str) -> str:
    """Return a table of a page, between its comments."""
    found = re.search(rf"<!-- table:{name} -->\n\n(.*?)\n\n<!-- /table -->", text, flags=re.DOTALL)
    return found[1] if found else ""


def output(command: str, folder: Path = ROOT) -> str:
    """Return what a command of svref prints in a folder."""
    run = subprocess.run(
        [sys.executable, "-c", "from svref.cli import main; main()", *shlex.split(command)[1:]],
        capture_output=True, encoding="utf-8", check=False, cwd=folder,
        env={"PATH": "", "COLUMNS": "200", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return run.stdout


def screens(page: Path) -> list[tuple[str, str]]:
    """Return the commands of a page whose output it shows, each with that output."""
    return [(found[1], found[2]) for found in SCREEN.finditer(page.read_text(encoding="utf-8"))]


def without_version(text: str) -> list[str]:
    """Return the lines of a screen but for the first, which names versions and the digest of the vectors."""
    return text.rstrip().splitlines()[1:]


# ---- the tests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_the_registry(name: str) -> None:
    assert table_of(REGISTRY.read_text(encoding="utf-8"), name) == "\n".join(TABLES[name]())


def test_every_deviation_is_in_one_table() -> None:
    text = REGISTRY.read_text(encoding="utf-8")
    for name in DEVIATIONS:
        tables = [table_of(text, stage) for stage in STAGES]
        count = sum(f"\n| `{name}` | " in table for table in tables)
        assert count == 1, f"{name} must stand in one table: python tests/test_pages.py --write"


@pytest.mark.parametrize("name", COUNTED)
def test_a_number_on_a_page_is_what_there_is(name: str) -> None:
    page, pattern, sentence = COUNTED[name]
    found = re.findall(pattern, page.read_text(encoding="utf-8"), re.DOTALL)
    assert [" ".join(text.split()) for text in found] == [sentence()]


PAPERS = ("1812.11317", "1912.00833", "1801.05599", "1801.07698", "1704.08063")


def test_the_readme_links_every_paper_that_a_variant_cites() -> None:
    text = README.read_text(encoding="utf-8")
    cited = {number for v in VARIANTS.values() for number in re.findall(r"arXiv:([\d.]+\d)", v.reference)}
    assert cited <= set(PAPERS)
    for number in PAPERS:
        assert text.count(f"(https://arxiv.org/abs/{number})") == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_screen_on_a_page_is_what_its_command_prints(page: Path) -> None:
    for command, shown in screens(page):
        if TORCH not in command:
            assert without_version(shown) == without_version(output(command))


NAN_SCREENS = dict(screens(NAN))


@pytest.mark.parametrize("command", NAN_SCREENS)
def test_a_screen_of_pytorch_is_what_its_command_prints(torch: object, command: str) -> None:
    shown, printed = (
        [OF_THE_MACHINE.sub("# times", line) for line in without_version(text)]
        for text in (NAN_SCREENS[command], output(command))
    )
    assert shown == printed


def test_the_code_on_the_page_about_nan_is_that_of_its_candidates() -> None:
    code = {line.strip() for line in (ROOT / "docs" / "examples" / TORCH).read_text(encoding="utf-8").splitlines()}
    tokens = MarkdownIt().parse(NAN.read_text(encoding="utf-8"))
    shown = [t.content for t in tokens if t.type == "fence" and t.info == "text" and not t.content.startswith("svref ")]
    assert len(shown) == 8
    assert {line for text in shown for line in text.splitlines()} <= code
    functions = set(re.findall(r":(\w+) --loss", "\n".join(NAN_SCREENS)))
    assert len(functions) == len(shown)


def test_no_screen_goes_unchecked() -> None:
    for page in PAGES:
        tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
        shown = [t.content for t in tokens if t.type == "fence" and t.info == "text" and t.content.startswith("svref ")]
        assert shown == [text for _, text in screens(page)], page
    assert [len(screens(page)) for page in (CHECK, REPORT, DIAGNOSE, NAN, HALF)] == [1, 1, 1, 8, 4]


def test_the_pages_name_every_verdict_with_its_exit_code() -> None:
    text = REPORT.read_text(encoding="utf-8")
    for verdict in VERDICTS:
        assert re.search(rf"^\| `{verdict}(\(name\))?` \| [012] \| ", text, flags=re.MULTILINE), verdict


@pytest.mark.parametrize(("command", "page"), [("check", CHECK), ("diagnose", DIAGNOSE)])
def test_the_pages_name_every_option_of_their_command(command: str, page: Path) -> None:
    text, options = (
        page.read_text(encoding="utf-8"),
        set(re.findall(r"^ +(--[a-z]+)", output(f"svref {command} --help"), re.M)),
    )
    assert len(options) >= 6
    for option in options - {"--help"}:
        assert f"`{option}" in text, option


def test_the_report_page_names_every_field_of_the_json_and_every_stage() -> None:
    text = REPORT.read_text(encoding="utf-8")
    for name in json.loads(check(right, "sv-am-softmax", case=first_case()).to_json()):
        assert f"`{name}`" in text, name
    places = [text.index(f"`{stage}`", text.index("## Stages")) for stage in ORDER]
    assert places == sorted(places)


def test_the_answers_of_the_page_are_of_the_format_that_is_read() -> None:
    text = CHECK.read_text(encoding="utf-8")
    shown = re.search(r'```text\n(\{"format": "svref-answers/1".*?)```', text, flags=re.DOTALL)
    assert shown
    content = json.loads(shown[1])
    validate("answers", content, "the page")
    known = {v.id for v in golden.load()}
    assert content["answers"].keys() <= known


# ---- what no single run shows: planted, and found under the name of the page ------------------------------------------


def right(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple[np.ndarray, np.ndarray]:
    return VARIANTS["sv-am-softmax"].factory(s=s, m=m, t=t).value_and_grad(cosines, labels, reduction="none")


def first_case() -> str:
    return next(v.id for v in golden.load() if v.variant == "sv-am-softmax" and v.level == "cosine")


def forgetful() -> object:
    calls: dict[bytes, int] = {}

    def candidate(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
        seen = calls[cosines.tobytes()] = calls.get(cosines.tobytes(), 0) + 1
        losses, gradient = right(cosines, labels, s=s, m=m, t=t)
        return losses * (1 if seen == 1 or len(labels) == 1 else 1.5), gradient

    return candidate


def shifted_by_the_batch(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    losses, gradient = right(cosines, labels, s=s, m=m, t=t)
    return losses * (1.5 if len(labels) == 1 else 1), gradient


def counting_ignored(
    cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float, ignore_index: int = -100
) -> tuple:
    return right(cosines, np.where(labels == ignore_index, 0, labels), s=s, m=m, t=t)


def tolerant(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    losses, gradient = np.zeros(len(cosines), cosines.dtype), np.zeros_like(cosines)
    try:
        return right(cosines, labels, s=s, m=m, t=t)
    except (ValueError, TypeError):
        return losses, gradient


def not_finite(cosines: np.ndarray, labels: np.ndarray, *, s: float, m: float, t: float) -> tuple:
    return VARIANTS["sv-arc-softmax"].factory(s=s, m=m, t=t).value_and_grad(cosines, labels, reduction="none")


@pytest.mark.parametrize(
    ("name", "candidate", "options"),
    [
        ("hidden-state", forgetful(), {}),
        ("rows-influence-each-other", shifted_by_the_batch, {}),
        ("ignored-rows-counted", counting_ignored, {}),
        ("invalid-input-accepted", tolerant, {"strict": True}),
        ("gradient-not-finite", not_finite, {"loss": "sv-arc-softmax", "finite": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_finding_of_the_page_is_found_under_its_name(name: str, candidate: object, options: dict) -> None:
    assert f"| `{name}` | " in REGISTRY.read_text(encoding="utf-8")
    report = check(candidate, **{"loss": "sv-am-softmax", **options})
    assert report.verdict == f"FAIL-AS({name})"


def main() -> None:
    """Print the tables, or write them and the screens into the pages."""
    text = REGISTRY.read_text(encoding="utf-8")
    for name, lines_of in TABLES.items():
        lines = "\n".join(lines_of())
        print(f"{name}\n{lines}", flush=True)
        text = text.replace(
            f"<!-- table:{name} -->\n\n{table_of(text, name)}\n\n", f"<!-- table:{name} -->\n\n{lines}\n\n"
        )
    if "--write" in sys.argv:
        REGISTRY.write_text(text, encoding="utf-8")
        for page, pattern, sentence in COUNTED.values():
            written = re.sub(pattern, sentence(), page.read_text(encoding="utf-8"), flags=re.DOTALL)
            page.write_text(written, encoding="utf-8")
        for page in PAGES:
            text = page.read_text(encoding="utf-8")
            for command, shown in screens(page):
                if TORCH not in command or importlib.util.find_spec("torch"):
                    text = text.replace(
                        f"{command}\n```\n\n```text\n{shown}", f"{command}\n```\n\n```text\n{output(command)}"
                    )
            page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
