"""The benchmark command runs on tiny sizes without any framework, and its files hold what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from benchmarks import __main__ as command
from benchmarks import bars, cases, contestants, figures, measure, page, report, results, scaling

ROOT = Path(__file__).parent.parent
FRAMEWORKS = ["torch", "jax", "tensorflow"]


def run(out: Path, *arguments: str, without: list[str]) -> str:
    """Run the command as if the modules `without` were not installed; return what it prints."""
    script = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({without!r})); sys.argv[0] = 'benchmarks';"
        f"runpy.run_path({str(ROOT / 'tests' / 'benchmarks')!r}, run_name='__main__')"
    )
    line = [sys.executable, "-c", script, "--quick", "--out", str(out), *arguments]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the output of a quick run of everything, with a copy of the page."""
    out = tmp_path_factory.mktemp("benchmarks")
    (out / "page.md").write_text(command.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    return out, run(out, "--docs", str(out / "page.md"), without=FRAMEWORKS)


def test_the_json_holds_every_row_and_its_ratios(quick: tuple[Path, str]) -> None:
    found = results.load(quick[0] / "results.json")
    assert found["complete"]
    assert found["sections"] == ["cosine", "head", "allocator", "scaling", "memory"]
    expected = [case.facts() for level in ("cosine", "head") for case in cases.rows(level, quick=True)]
    assert [{k: row[k] for k in expected[i]} for i, row in enumerate(found["rows"])] == expected
    for row in found["rows"]:
        floor = contestants.FLOORS[row["level"]]
        medians = {name: s.get("median_s") for name, s in row["contestants"].items()}
        assert row["floor_share"]["svref"] == medians[floor] / medians["svref"]
        assert row["fastest_peer"] is None
    assert all("svref" in row["contestants"] for row in found["memory"])
    assert [sweep["vary"] for sweep in found["scaling"]][:5] == ["C", "C", "B", "B", "D"]


def test_a_framework_that_is_not_installed_is_listed(quick: tuple[Path, str]) -> None:
    found = results.load(quick[0] / "results.json")
    for name in contestants.PEERS:
        assert f"{name}: not installed (pip install 'svref[" in quick[1]
        assert f"- {name}: not installed (pip" in (quick[0] / "table.md").read_text(encoding="utf-8")
        assert all("not_installed" in row["contestants"][name] for row in found["rows"] + found["memory"])


def test_the_table_and_the_page_hold_what_the_json_holds(quick: tuple[Path, str]) -> None:
    found = results.load(quick[0] / "results.json")
    for text in ((quick[0] / f).read_text(encoding="utf-8") for f in ("table.md", "page.md")):
        for row in found["rows"]:
            cells = [row["size"], row["dtype"], row["state"], f"{row['support_share']:.2%}"]
            median = report.milliseconds(row["contestants"]["svref"]["median_s"])
            assert "| " + " | ".join([*cells, median]) + " |" in text
        assert all(f"| {b['name']} | {b['bar']} | {b['measured']} |" in text for b in found["bars"])
        assert sys.platform != "linux" or report.NOTHING not in text
        assert str(ROOT) not in text


def test_the_figures_are_drawn_where_matplotlib_is(quick: tuple[Path, str]) -> None:
    folders = (quick[0], quick[0] / "page")
    names = {"times.svg", "scaling.svg", "memory.svg"} if find_spec("matplotlib") else set()
    assert {path.name for folder in folders for path in folder.glob("*.svg")} == names
    assert (figures.EXTRA in quick[1]) == (not names)


def test_without_matplotlib_the_command_says_which_extra_to_install(tmp_path: Path) -> None:
    said = run(tmp_path, "--only", "kept", "--peers", without=[*FRAMEWORKS, "matplotlib"])
    assert "no figures (pip install 'svref[plot]')" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "table.md"]


def test_an_interrupt_writes_what_has_been_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(found: dict, choice: object) -> object:
        found["notes"].append("one thing")
        yield
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "RUNNERS", {"cosine": interrupted})
    monkeypatch.setattr(figures, "drawn", lambda found: {})
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--quick", "--peers", "--out", str(tmp_path)])
    assert command.main() == 130
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert (found["complete"], found["notes"], found["sections"]) == (False, ["one thing"], [])
    assert "The run was not completed." in (tmp_path / "table.md").read_text(encoding="utf-8")


def peer(run: object) -> contestants.Peer:
    return contestants.Peer("numpy", "none", lambda problem: (lambda: run(problem), lambda raw: raw))


def test_nobody_is_timed_on_a_wrong_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def right(problem: cases.Problem) -> object:
        value, gradient = cases.loss().value_and_grad(*problem.arrays, problem.labels)
        return float(value), [gradient]

    def wrong(problem: cases.Problem) -> object:
        value, gradient = right(problem)
        return value, [1.01 * gradient[0]]

    def lost(problem: cases.Problem) -> object:
        return right(problem)[0], [np.full_like(problem.arrays[0], np.nan)]

    def broken(problem: cases.Problem) -> object:
        raise OSError(f"no compiler in {Path(sys.executable).resolve()}\nmore")

    monkeypatch.setattr(contestants, "PEERS", {"r": peer(right), "w": peer(wrong), "l": peer(lost), "b": peer(broken)})
    monkeypatch.setattr(measure, "PEERS", contestants.PEERS)
    row = measure.row(cases.Case("cosine", 4, 50), ["svref", "r", "w", "l", "b", "np.exp"], measure.QUICK)
    assert row["contestants"]["w"]["wrong"] == "its result differs from svref's by 0.01"
    assert row["contestants"]["l"]["wrong"] == "its result differs from svref's by nan"
    assert row["contestants"]["l"]["gradient_error"] is None
    assert row["contestants"]["b"] == {"failed": "OSError: no compiler in PATH"}
    assert {name for name, s in row["contestants"].items() if "median_s" in s} == {"svref", "r", "np.exp"}
    assert row["fastest_peer"] == "r"
    medians = {name: row["contestants"][name].get("median_s") for name in ("svref", "r")}
    assert row["ratio"]["svref"] == medians["r"] / medians["svref"]


@pytest.mark.parametrize("level", ["cosine", "head"])
@pytest.mark.parametrize(
    ("state", "low", "high"),
    [("untrained", 0.95, 1), ("half-trained", -1, 0.01), ("converged", -1, 1e-5), ("uniform", 0.45, 0.55)],
)
def test_each_state_has_the_support_vectors_that_it_is_said_to_have(
    level: str, state: str, low: float, high: float
) -> None:
    if level == "head" and state == "uniform":
        return
    case = cases.Case(level, 64, 5_000, 256, state=state)
    assert low < cases.support_share(case.problem()) < high


def test_contestants_take_turns_until_each_has_had_its_time() -> None:
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = measure.interleaved(runs, measure.Effort(0.0, least=4, turn=0.0))
    assert [len(t) for t in times.values()] == [4, 4, 4]
    assert [sorted(calls[i : i + 3]) for i in range(0, 12, 3)] == [["a", "b", "c"]] * 4
    assert len({tuple(calls[i : i + 3]) for i in range(0, 12, 3)}) > 1


def test_fits_find_the_curves_they_are_given() -> None:
    n = (10, 100, 1000)
    assert scaling.fit("C", n, [2e-6 * v for v in n])["exponent"] == pytest.approx(1)
    found = scaling.fit("B", n, [1e-3 + 2e-6 * v for v in n])
    assert (found["a"], found["b"], found["residual"]) == pytest.approx((1e-3, 2e-6, 0), abs=1e-9)


def test_bars_are_judged_either_way() -> None:
    def rows(ratio: float, products: float) -> list[dict]:
        facts = {"dtype": "float32", "state": "uniform"}
        ratios = {"ratio": {"svref": ratio, "svref, fresh": ratio}, "floor_share": {"svref": 1 / products}}
        sizes = [("cosine", size) for size in (bars.SMALL, "2 x 3")] + [("head", size) for size in bars.PRODUCTS]
        return [{"level": level, "size": size, **facts, **ratios} for level, size in sizes]

    def found(ratio: float, products: float, exponent: float, peak: int) -> dict:
        sweeps = [{"level": v, "vary": "C", "fit": {"exponent": exponent}} for v in ("cosine", "head")]
        stream = {"mapped": True, "size": "2 x 3", "contestants": {contestants.LEAN: {"peak_bytes": peak}}}
        return {"rows": rows(ratio, products), "scaling": sweeps, "memory": [stream]}

    assert {b["met"] for b in bars.judged(found(2.5, 1.4, 1.0, 0))} == {True}
    assert {b["met"] for b in bars.judged(found(0.8, 2.6, 1.1, 2**28))} == {False}
    assert {b["met"] for b in bars.judged({"rows": [], "scaling": [], "memory": []})} == {None}
    assert np.isclose(bars.geometric([1.0, 4.0, None]), 2.0)


def test_the_page_has_exactly_the_blocks_that_the_command_writes(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("<!-- benchmark:bars -->\n<!-- /benchmark:bars -->\n", encoding="utf-8")
    with pytest.raises(
        SystemExit, match=r"page.md must have exactly the blocks \['bars', 'other'\]; see to \['other'\]"
    ):
        page.rewrite(path, {"bars": "", "other": ""}, {})
    page.rewrite(path, {"bars": "two\n"}, {})
    assert path.read_text(encoding="utf-8") == "<!-- benchmark:bars -->\n\ntwo\n\n<!-- /benchmark:bars -->\n"
