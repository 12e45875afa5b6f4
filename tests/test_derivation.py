"""Every equation of the two pages stands once, and leads to the line that computes it and to a test that proves it.

python tests/test_derivation.py            prints the lines that lead there
python tests/test_derivation.py --write    writes them under the equations, with the line numbers as they are now
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "docs" / "explanation" / "derivation.md", ROOT / "docs" / "explanation" / "rounding.md")
LEADS = "Code: ["  # how the line under an equation begins
EQUATION = re.compile(rf"(?m)^\$\$\n((?:(?!\$\$).*\n)*?.*\\tag{{(\d+)}})\n\$\$\n(?:\n{re.escape(LEADS)}.*\n)?")

# number: the file below svref and the function whose lines cite the number; the file and the name of each test,
# without test_
PROOFS: dict[int, tuple[str, ...]] = {
    1: ("variants.softmax", "properties.t_equal_one_is_scipy_log_softmax"),
    2: ("reference.cosines_of", "equations.a_cosine_is_that_of_the_angle_between_the_two_vectors"),
    3: ("reference.forward", "margins.the_value_is_the_textbooks"),
    4: ("margins.Angle.from_cosine", "margins.the_angle_is_accurate_at_both_poles"),
    5: ("emphasis.SupportVectors.mask", "properties.a_tie_is_not_a_support_vector_and_anything_above_is"),
    6: ("emphasis.SupportVectors.log_h", "equations.the_emphasis_is_zero_at_minus_one_and_off_the_mask"),
    7: ("emphasis.SupportVectors.slope", "equations.the_slope_is_the_derivative_of_the_emphasised_cosine"),
    8: ("emphasis.SupportVectors.log_h_by_t", "equations.log_h_is_linear_in_t"),
    9: ("loss.SVXSoftmax", "equations.the_loss_is_that_of_the_paper_in_fifty_digits"),
    10: ("reference.forward", "loss.the_step_holds_every_quantity_of_the_derivation"),
    11: ("reference.log_sum_exp", "loss.the_step_holds_every_quantity_of_the_derivation"),
    12: ("engine.kernels.merge", "kernels.shards_of_classes_give_the_whole"),
    13: ("reference.Step.loss", "equations.the_loss_is_minus_the_log_of_the_labels_probability"),
    14: ("reference.softplus", "kernels.loss_and_errors_are_right_for_every_log_odds"),
    15: ("reference.sigmoid", "kernels.loss_and_errors_are_right_for_every_log_odds"),
    16: ("reference.shares", "properties.the_loss_is_not_negative_and_the_negatives_sum_to_the_error"),
    17: ("reference.backward", "gradients.every_cosine_gradient_is_the_complex_step_of_the_naive_forward"),
    18: ("reference.backward", "gradients.every_cosine_gradient_is_the_complex_step_of_the_naive_forward"),
    19: ("reference.backward", "gradients.every_parameter_gradient_is_the_complex_step_of_the_naive_forward"),
    20: ("reference.backward", "gradients.every_parameter_gradient_is_the_complex_step_of_the_naive_forward"),
    21: ("reference.backward", "gradients.every_parameter_gradient_is_the_complex_step_of_the_naive_forward"),
    22: ("margins.NoMargin.value", "margins.both_derivatives_are_central_differences"),
    23: ("margins.AdditiveCosine.value", "margins.both_derivatives_are_central_differences"),
    24: ("margins.Angle.cos_plus", "margins.the_value_is_the_textbooks"),
    25: ("margins.AdditiveAngle.by_angle", "margins.the_derivative_by_m_is_a_central_difference"),
    26: (
        "margins.AdditiveAngle.by_cosine",
        "margins.both_derivatives_are_central_differences",
        "margins.arc_is_finite_at_the_poles_and_its_slope_is_the_signed_infinity",
    ),
    27: (
        "margins.AdditiveAngle._with_tail",
        "margins.both_derivatives_are_central_differences",
        "margins.tails_jump_by_what_the_formulas_say",
    ),
    28: (
        "margins.MultiplicativeAngle.value",
        "margins.the_value_is_the_textbooks",
        "margins.a_softmax_at_pi_belongs_to_the_last_piece",
    ),
    29: ("margins.chebyshev", "equations.the_recurrence_gives_the_chebyshev_polynomials"),
    30: (
        "margins.MultiplicativeAngle.by_cosine",
        "margins.both_derivatives_are_central_differences",
        "margins.the_slope_of_a_softmax_is_m_squared_at_both_poles",
    ),
    31: ("margins.MultiplicativeAngle.value", "equations.annealing_mixes_value_and_slopes_alike"),
    32: (
        "margins.Combined.by_cosine",
        "margins.both_derivatives_are_central_differences",
        "margins.the_derivatives_of_combined_are_central_differences",
    ),
    33: ("margins.Combined._limit", "margins.the_slope_of_combined_has_its_limits_at_the_poles"),
    34: ("margins.EasyMargin.value", "margins.an_easy_margin_is_off_at_its_threshold_and_has_no_derivative_by_m_there"),
    35: ("margins.StraightThrough.by_cosine", "margins.straight_through_keeps_the_value_and_has_slope_one"),
    36: ("reference.through_unit_rows", "equations.a_cosine_turns_a_vector_and_does_not_stretch_it"),
    37: ("reference.through_cosines", "reference.the_way_back_through_a_head_is_the_derivative_of_its_cosines"),
    38: ("head.shards.Shard._add_targets", "head.near_parallel_rows_keep_both_gradients"),
    39: ("head.geometry.tangent", "equations.the_vector_that_is_projected_is_short_and_has_the_same_orthogonal_part"),
    40: ("judging.condition.tolerance", "condition.the_tolerance_is_the_formula_of_the_design"),
    41: ("judging.condition.scales", "condition.the_scales_dominate_the_error_of_every_formulation"),
    42: ("judging.condition.undecided", "condition.the_band_is_four_units_times_what_the_margin_adds"),
    43: (
        "judging.condition.head_scales",
        "condition.the_head_scales_dominate_the_error_of_every_formulation_and_none_is_rejected",
    ),
    44: (
        "judging.condition.head_scales",
        "condition.the_head_scales_dominate_the_error_of_every_formulation_and_none_is_rejected",
    ),
    45: (
        "judging.narrow.allowed",
        "narrow.right_code_stays_within_the_tolerance_of_every_preset",
        "narrow.a_stage_that_alone_is_narrow_comes_near_the_tolerance_and_stays_within_it",
    ),
    46: (
        "judging.narrow.of_logits",
        "narrow.errors_of_the_logits_move_loss_and_gradient_as_far_as_the_sensitivity_and_no_further",
    ),
}


# ---- where the code and the tests stand ---------------------------------------------------------------------------


@cache
def definitions(file: Path) -> dict[str, tuple[int, int]]:
    """Return the first and the last line of each function and class of a file, by its name with the class's before."""

    def inside(node: ast.AST, prefix: str) -> Iterator[tuple[str, tuple[int, int]]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                yield prefix + child.name, (child.lineno, child.end_lineno or child.lineno)
                yield from inside(child, f"{prefix}{child.name}.")

    return dict(inside(ast.parse(file.read_text(encoding="utf-8")), ""))


def cites(line: str, number: int) -> bool:
    """Return whether a line of code names an equation: as "equations 43 and 44", or as "(15, 16)" in a comment."""
    groups = re.findall(r"[Ee]quations? ([\d, and]+)", line) + re.findall(r"# \(([\d, ]+)\)", line)
    return str(number) in re.findall(r"\d+", " ".join(groups))


def place_in_code(number: int) -> tuple[str, str, int]:
    """Return the function that computes an equation, its file, and the line in it that cites the number.

    A comment at the end of a line is preferred to a docstring: it stands at the formula itself.
    """
    *parts, name = PROOFS[number][0].split(".")
    owner = [name]
    while not (file := ROOT.joinpath("svref", *parts).with_suffix(".py")).exists():
        owner.insert(0, parts.pop())
    first, last = definitions(file)[".".join(owner)]
    lines = enumerate(file.read_text(encoding="utf-8").splitlines()[first - 1 : last], first)
    citing = [("# (" not in text, at) for at, text in lines if cites(text, number)]
    assert citing, f"{PROOFS[number][0]} must cite equation {number}: '(equation {number})' or '# ({number})'"
    return ".".join(owner), file.relative_to(ROOT).as_posix(), min(citing)[1]


def link_to_test(proof: str) -> str:
    """Return a link to a test; its text is the sentence that is the test's name."""
    room, name = proof.split(".")
    file = ROOT / "tests" / f"test_{room}.py"
    assert f"test_{name}" in definitions(file), f"{file.name} has no test_{name}"
    line = definitions(file)[f"test_{name}"][0]
    return f"[{name.replace('_', ' ')}](../../{file.relative_to(ROOT).as_posix()}#L{line})"


def line_under(number: int) -> str:
    """Return the line that leads from an equation to its code and to its tests."""
    name, file, line = place_in_code(number)
    tests = ", ".join(map(link_to_test, PROOFS[number][1:]))
    return f"{LEADS}`{name}`](../../{file}#L{line}) · test: {tests}"


def renewed(text: str) -> str:
    """Return a page with the line under each equation as it must be."""
    return EQUATION.sub(lambda found: f"$$\n{found[1]}\n$$\n\n{line_under(int(found[2]))}\n", text)


# ---- the tests ----------------------------------------------------------------------------------------------------


def test_every_equation_stands_once_on_one_of_the_two_pages() -> None:
    numbers = [int(n) for page in PAGES for n in re.findall(r"\\tag\{(\d+)\}", page.read_text(encoding="utf-8"))]
    assert sorted(numbers) == list(range(1, 47)) == sorted(PROOFS)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_equation_leads_to_the_line_that_computes_it_and_to_its_proof(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(EQUATION.findall(text)) == len(re.findall(r"\\tag\{", text)), "an equation stands between lines of $$"
    assert renewed(text) == text, "run python tests/test_derivation.py --write"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_link_to_a_section_of_the_two_pages_leads_to_a_heading(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", page.read_text(encoding="utf-8")):
        other = page.parent / name if name else page
        headings = re.findall(r"(?m)^#+ (.+)$", other.read_text(encoding="utf-8"))
        assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, anchor


@pytest.mark.parametrize(
    ("line", "cited"),
    [("x = 1  # (15, 16)", True), ('"""K (equations 16 and 44)."""', True), ("f(16)", False), ("# (160)", False)],
)
def test_a_citation_is_told_from_a_number(line: str, cited: bool) -> None:
    assert cites(line, 16) == cited


def main() -> None:
    """Print the lines, or write them into the pages."""
    if "--write" not in sys.argv:
        print("\n".join(f"{number:>2}  {line_under(number)}" for number in PROOFS))
        return
    for page in PAGES:
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
