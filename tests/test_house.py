"""The house: imports run one way, the root stays light, the names are listed and documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from house import FILES, FOLDERS, HOUSE, MODULES, OLD_PATHS, PAGE, ROOT, arrows, page, wrong_imports
from rows import MARGINS as ROWS_MARGINS
from rows import MORE_MARGINS

import svref
from svref.exact.margins import margin_in_balls
from svref.explain import FORMULAS
from svref.judging.figures import figures
from svref.margins import Margin

DERIVATION = ROOT / "docs" / "explanation" / "derivation.md"
ROUNDING = ROOT / "docs" / "explanation" / "rounding.md"

MARGINS = [cls for cls in Margin.__subclasses__() if cls.__module__.startswith("svref.")]


def test_imports_run_from_later_rooms_to_earlier_ones() -> None:
    assert list(wrong_imports(HOUSE)) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_and_so_they_do_inside_a_folder(folder: str) -> None:
    assert list(wrong_imports(FOLDERS[folder], (folder,))) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    TopologicalSorter(arrows()).prepare()  # raises a CycleError that names the files


def test_nothing_imports_the_package_root_or_an_old_path() -> None:
    for parts, others in arrows().items():
        assert () not in others, parts
        assert not {other[0] for other in others if other} & set(OLD_PATHS), parts


def test_every_room_has_its_place() -> None:
    placed = {room for line in HOUSE for room in line}
    assert {parts[0] for parts in MODULES if parts} == placed | set(OLD_PATHS)
    for folder, layers in FOLDERS.items():
        inside = {parts[1] for parts in MODULES if len(parts) > 1 and parts[0] == folder}
        assert inside == {room for line in layers for room in line}


@pytest.mark.parametrize(
    "folder", [parts for parts in MODULES if len(parts) > 1 and MODULES[parts].name == "__init__.py"]
)
def test_a_folder_inside_a_room_lists_its_files(folder: tuple[str, ...]) -> None:
    listed = re.findall(r"^(\w+)   *\S", MODULES[folder].read_text(encoding="utf-8"), re.MULTILINE)
    assert {parts[-1] for parts in MODULES if parts[:-1] == folder} == set(listed)


def test_the_picture_of_the_house_is_as_the_code_is() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run python tests/house.py --write"


@pytest.mark.parametrize(
    "old",
    ["svref.shards:Shard", "svref.dialects:dialect", "svref.dialects:DIALECTS", "svref.distributed:value_and_grad"],
)
def test_old_import_paths_of_users_go_on_working(old: str) -> None:
    module, name = old.split(":")
    new = {"shards": "head.shards", "dialects": "deviations.dialects", "distributed": "head.distributed"}
    moved = importlib.import_module(f"svref.{new[module.removeprefix('svref.')]}")
    assert getattr(importlib.import_module(module), name) is getattr(moved, name)


def test_import_svref_loads_numpy_and_nothing_heavier() -> None:
    script = (
        "import sys; before = set(sys.modules); import svref; svref.sv_arc_softmax().value([[0.5, 0.2]], [0]);"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {module for module in loaded if "cython" not in module} == {"numpy", "svref"}


def test_the_conformance_room_loads_on_first_use_and_takes_no_framework_with_it() -> None:
    script = "import sys, svref; assert 'svref.conformance' not in sys.modules; svref.check; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_command_without_its_extra_says_which_to_install() -> None:
    script = "import sys; sys.modules['typer'] = None; import svref.cli"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == "svref: the command line needs typer and rich: pip install 'svref[cli]'"
    assert result.returncode == 2


def test_public_names_exist_and_are_listed() -> None:
    for name in svref.__all__:
        assert getattr(svref, name) is not None
    assert {v.replace("-", "_") for v in svref.VARIANTS} <= set(svref.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        svref.nothing  # noqa: B018


def public_objects() -> list[tuple[str, object]]:
    found = []
    for name in svref.__all__:
        thing = getattr(svref, name)
        if inspect.isclass(thing):
            members = [(f"{name}.{n}", m) for n, m in vars(thing).items() if not n.startswith("_")]
            found += [(n, m) for n, m in members if callable(m) or isinstance(m, property)]
        if inspect.isclass(thing) or inspect.isfunction(thing) or inspect.ismodule(thing):
            found.append((name, thing))
    return found


@pytest.mark.parametrize(("name", "thing"), public_objects(), ids=lambda v: v if isinstance(v, str) else "")
def test_every_public_name_is_documented(name: str, thing: object) -> None:
    assert len(inspect.getdoc(thing) or "") > 10


@pytest.mark.parametrize(
    "name", [n for n in svref.__all__ if inspect.isclass(getattr(svref, n)) and issubclass(getattr(svref, n), Margin)]
)
def test_every_margin_has_formula_domain_limits_and_source(name: str) -> None:
    text = inspect.getdoc(getattr(svref, name))
    for section in (".. math::", "Domain\n", "Equals\n", "References\n"):
        assert section in text


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_every_variant_has_formula_parameters_limits_and_source(name: str) -> None:
    entry = svref.VARIANTS[name]
    text = inspect.getdoc(entry.factory)
    for section in (".. math::", "Parameters\n----------", "Raises\n", "Equals\n", "References\n"):
        assert section in text
    for parameter, default in entry.parameters.items():
        assert f"{parameter} : {type(default).__name__}, default {default:g}" in text


def test_every_margin_class_has_a_variant() -> None:
    def classes(base: type) -> set[type]:
        return {cls for sub in base.__subclasses__() for cls in {sub} | classes(sub)}

    wrappers = {svref.EasyMargin, svref.StraightThrough}
    used = {type(entry.factory().margin) for entry in svref.VARIANTS.values()}
    assert {cls for cls in classes(Margin) if cls.__module__.startswith("svref.")} - wrappers == used


@pytest.mark.parametrize("cls", MARGINS, ids=lambda cls: cls.__name__)
def test_every_margin_has_its_rounding_figures_and_its_form_in_balls(cls: type[Margin]) -> None:
    assert figures.dispatch(cls) is not figures.dispatch(object), f"register judging.figures of {cls.__name__}"
    assert margin_in_balls.dispatch(cls) is not margin_in_balls.dispatch(object), f"exact.margins: {cls.__name__}"


@pytest.mark.parametrize("cls", MARGINS, ids=lambda cls: cls.__name__)
def test_every_margin_is_listed_explained_measured_and_derived(cls: type[Margin]) -> None:
    name, derivation, rounding = cls.__name__, *(p.read_text(encoding="utf-8") for p in (DERIVATION, ROUNDING))
    assert name in svref.__all__, f"list {name} in svref/__init__.py"
    assert f"`{name}`" in derivation.split("\n## 10. ")[1].split("\n## 11. ")[0], f"derive {name} in section 10"
    assert f"`{name}`" in rounding.split("### 7.3 ")[1].split("### 7.4 ")[0], f"derive the figures of {name}"
    if cls not in (svref.EasyMargin, svref.StraightThrough):
        assert name in FORMULAS, f"write the formula of {name} in svref/explain/text.py"
        assert any(isinstance(m, cls) for m in {**ROWS_MARGINS, **MORE_MARGINS}.values()), (
            f"add {name} to tests/rows.py"
        )


def test_classes_are_abstract_or_final() -> None:
    for cls in Margin.__subclasses__():
        if cls.__module__.startswith("svref."):
            assert not cls.__subclasses__()
            assert not cls.__abstractmethods__


def test_the_code_cites_equations_that_stand_on_one_of_the_two_pages() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in (DERIVATION, ROUNDING))
    tags = sorted(re.findall(r"\\tag\{(\d+)\}", text), key=int)
    assert tags == [str(n) for n in range(1, len(tags) + 1)]
    for file in FILES:
        for group in re.findall(r"[Ee]quations? ([\d, and to]+)", file.read_text(encoding="utf-8")):
            for number in re.findall(r"\d+", group):
                assert number in tags, f"{file.name} cites equation {number}"


def code_lines(text: str) -> int:
    """Count the lines that are neither empty, nor a comment, nor part of a docstring."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(i not in documented and bool(line.strip()) and not line.strip().startswith("#") for i, line in lines)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_functions_are_short_and_files_hold_one_idea(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert code_lines(text) <= 320, f"{file.name} has {code_lines(text)} lines of code"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno - body[0].lineno + 1) if body else 0
            assert lines <= 25, f"{file.name}: {node.name} has {lines} lines"


def test_nothing_else_is_in_sight_at_the_top() -> None:
    visible = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert visible - {"build", "dist"} <= {"svref", "tests", "docs", "pyproject.toml", "README.md", "LICENSE"}


def test_the_changelog_has_the_version() -> None:
    assert f"## {svref.__version__}" in (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
