"""The explanation holds the numbers of the derivation, and only right ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from in_process import svref_command

import svref
from svref import golden
from svref.cli.explain import explain_case

ROWS = next(v for v in golden.load(pack="seed") if v.variant == "sv-softmax")
CORE = golden.load()
NOTEBOOK = f"""\
{ROWS.id}, row 2 of 0..2
The rows of the notebook that started the project.
s = 1, t = 1.2; label y = 0
cosines  [-2, 3, 4, -2.1]

1  target
   c_y = -2
   f = c_y = -2   (3)

2  negatives
   I_k = [c_k > f]: 2 of 3 are support vectors   (5)
   log h_k = s (t - 1)(c_k + 1) = 0.2 (c_k + 1) for each of them, else 0   (6)
   r_k = s (c_k - f) + log h_k, relative to the target's logit   (10)
   p_k = q exp(r_k - a), with q and a below   (16)
      k         c_k     c_k - f  I_k         h_k         r_k         p_k
      0          -2               y                           0.00069987
      1           3          +5   1      2.22554        +5.8     0.23117
      2           4          +6   1      2.71828          +7      0.7675
      3        -2.1        -0.1   0            1        -0.1  0.00063327

   a = log Σ exp r_k = 7.26391638, the log-odds against the target   (11)
   L = log(1 + exp a) = 7.26461649   (14)
   q = 1 - p_y = exp a/(1 + exp a) = 0.99930013   (15)

3  gradient
   dL/dc_k = s p_k, for a support vector s p_k t   (17)
   dL/dc_y = -s q f'(c_y), with f'(c_y) = 1   (18)
   dL/dc = [-0.9993, 0.2774, 0.921, 0.000633268]
   dL/ds = Σ p_k r_k / s = 6.7132   (19)
   dL/dt = Σ p_k dlog h_k/dt = 4.76217   (20)
"""


def test_the_notebooks_hardest_row_reads_as_follows() -> None:
    assert explain_case(ROWS) == NOTEBOOK


@pytest.mark.parametrize("name", svref.VARIANTS)
def test_every_case_can_be_explained_and_shows_its_loss(name: str) -> None:
    for case in CORE:
        if case.variant == name and case.result != "error":
            text = explain_case(case, 0)
            shown = float(re.search(r"L = log\(1 \+ exp a\) = (\S+)", text)[1])
            np.testing.assert_allclose(shown, case.expected["loss"][0], rtol=1e-8)
            assert f"{int(case.mask[0].sum())} of {case.mask.shape[1] - 1} are support vectors" in text
            assert case.purpose in text


def first(variant: str, group: str) -> golden.Vector:
    return next(v for v in CORE if (v.variant, v.group) == (variant, group))


def test_every_margin_parameter_has_its_derivative() -> None:
    text = explain_case(first("sv-combined-softmax", "hard"), 0)
    assert all(f"dL/d{name} = " in text for name in ("m1", "m2", "m3", "s", "t"))


def test_a_loss_without_emphasis_says_so() -> None:
    text = explain_case(first("am-softmax", "hard"), 0)
    assert "log h_k = 0: t = 1 is no emphasis" in text
    assert "dL/dt" not in text


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^row must be from 0 to 2; got 3\.$"):
        explain_case(ROWS, 3)
    with pytest.raises(ValueError, match=r"must raise: A label is C\. There is nothing to explain"):
        explain_case(first("softmax", "error"))


# ---- rows of a user's own --------------------------------------------------------------------------------------

COSINES, LABELS = np.array([[0.5, 0.75, -0.25], [0.25, 0.9, 0.5]]), np.array([0, 1])
OWN = ("--cosines", "0.5 0.75 -0.25", "--label", "0", "--loss", "sv-am-softmax")


def printed(*arguments: object) -> str:
    result = svref_command("explain", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_a_row_of_ones_own_is_explained_with_the_usual_parameters_and_with_others() -> None:
    text = printed(*OWN)
    assert text.startswith("sv-am-softmax, --cosines\ns = 30, m = 0.35, t = 1.2; label y = 0\n")
    assert "cosines  [0.5, 0.75, -0.25]" in text
    assert "s = 8, m = 0.35, t = 1; label y = 0" in printed(*OWN, "--with", "s=8", "--with", "t=1")
    value = svref.sv_am_softmax(s=8.0, t=1.0).value(COSINES[:1], LABELS[:1], reduction="none")
    assert f"L = log(1 + exp a) = {value[0]:.9g}" in printed(*OWN, "--with", "s=8", "--with", "t=1")


def test_a_number_that_is_no_cosine_is_noted_where_the_loss_takes_it() -> None:
    text = printed("--cosines", "0.7 1.5", "--label", "0", "--loss", "sv-am-softmax")
    note = "note: 1.5 of class 1 is no cosine, which lies in [-1, 1]; the formulas hold for it too"
    assert text.splitlines()[1] == note
    assert "note: " not in printed(*OWN)


@pytest.mark.parametrize("text", ["0.5,0.75,-0.25", " 0.5, 0.75  -0.25 ", "5e-1 .75 -0.25"])
def test_cosines_are_written_apart_by_spaces_or_commas(text: str) -> None:
    assert printed("--cosines", text, *OWN[2:]) == printed(*OWN)


def test_rows_of_a_file_are_explained_the_hardest_first(tmp_path: Path) -> None:
    file = tmp_path / "rows.npz"
    np.savez(file, cosines=COSINES, labels=LABELS, other=np.zeros(3))
    losses = svref.sv_am_softmax().value(COSINES, LABELS, reduction="none")
    hardest = int(losses.argmax())
    assert printed(file, "--loss", "sv-am-softmax") == printed(file, "--loss", "sv-am-softmax", "--row", hardest)
    assert "row 1 of 0..1" in printed(file, "--loss", "sv-am-softmax", "--row", 1)
    own, of_file = printed(*OWN), printed(file, "--loss", "sv-am-softmax", "--row", 0)
    assert own.splitlines()[1:] == of_file.splitlines()[1:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_a_file_may_hold_one_flat_row_or_vectors(dtype: type, tmp_path: Path) -> None:
    x, w = np.array([[1, 2, 0]], dtype=dtype), np.array([[1, 1, 0], [0, 1, 1]], dtype=dtype)
    np.savez(tmp_path / "head.npz", embeddings=x[0], weights=w, labels=np.array(1))
    np.savez(tmp_path / "flat.npz", cosines=np.array([1, 0], dtype=dtype), labels=1)
    text = printed(tmp_path / "head.npz", "--loss", "arc-softmax")
    assert "cosines  [0.948683, 0.632456]" in text
    assert "cosines  [1, 0]" in printed(tmp_path / "flat.npz", "--loss", "sv-softmax")


FILES = {
    "nothing.npz": {}, "half.npz": {"cosines": COSINES}, "words.npz": {"cosines": np.array([["a"]]), "labels": LABELS[:1]},
    "objects.npz": {"cosines": np.array([[None]]), "labels": LABELS[:1]}, "cube.npz": {"cosines": COSINES[None], "labels": LABELS},
    "floats.npz": {"cosines": COSINES, "labels": LABELS + 0.5}, "ignored.npz": {"embeddings": COSINES, "weights": COSINES, "labels": -LABELS},
    "wide.npz": {"embeddings": COSINES, "weights": COSINES[:, :2], "labels": LABELS}, "rows.npz": {"cosines": COSINES, "labels": LABELS},
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--cosines", "0.5 x", *OWN[2:]), "--cosines takes numbers, such as '0.5 0.75 -0.25'; got '0.5 x'."),
        (("--cosines", "nan 1", *OWN[2:]), "cosines must "),
        (OWN[:4], "rows of your own need --loss, one of softmax, am-softmax,"),
        (OWN[:2], "--cosines needs --label, the class of the row, from 0."),
        (("--label", "0"), "--label belongs to --cosines."),
        (("--loss", "softmax"), "--loss belongs to rows of your own: give --cosines or a .npz file."),
        (("--with", "s=2"), "--with belongs to rows of your own: give --cosines or a .npz file."),
        ((ROWS.id, *OWN), f"give a case, a file or --cosines, one of the three; got {ROWS.id} and --cosines."),
        ((*OWN, "--pack", "core"), "--pack names a pack of golden vectors, and these rows are your own."),
        ((*OWN, "--row", "1"), "row must be from 0 to 0; got 1."),
        ((*OWN, "--with", "m1=2"), "parameters of sv-am-softmax are s, m, t; got m1."),
        ((*OWN, "--with", "s"), "--with takes name=value with a decimal number, such as m=0.35; got 's'"),
        ((*OWN, "--with", "s=-1"), "s must be "),
        ((*OWN[:3], "3", *OWN[4:]), "labels must be class indices below C = 3; got labels[0] = 3"),
        ((*OWN[:3], "-1", *OWN[4:]), "labels must be class indices below C = 3; got labels[0] = -1"),
        (("--cosines", "0.5 1.5", "--label", "0", "--loss", "arc-softmax"), "cosines must lie in [-1, 1] for an angular margin;"),
        (("absent.npz", "--loss", "softmax"), "[Errno 2] No such file"),
        (("text.npz", "--loss", "softmax"), "text.npz must be a .npz file of numbers, as np.savez writes it: "),
        (("objects.npz", "--loss", "softmax"), "objects.npz must be a .npz file of numbers, as np.savez writes it: "),
        (("nothing.npz", "--loss", "softmax"), "nothing.npz must hold cosines and labels, or embeddings, weights and labels; it holds no array."),
        (("half.npz", "--loss", "softmax"), "half.npz must hold cosines and labels, or embeddings, weights and labels; it holds cosines."),
        (("words.npz", "--loss", "softmax"), "words.npz: cosines must hold real numbers; got <U1."),
        (("cube.npz", "--loss", "softmax"), "cosines must "),
        (("floats.npz", "--loss", "softmax"), "labels must "),
        (("ignored.npz", "--loss", "softmax"), "labels must be class indices below C = 2; got labels[1] = -1"),
        (("wide.npz", "--loss", "softmax"), "embeddings (B, D) and weights (C, D) must share D; got"),
        (("rows.npz",), "rows of your own need --loss, one of softmax, am-softmax,"),
        (("rows.npz", "--loss", "no"), "loss must be one of softmax, am-softmax,"),
        (("rows.npz", "--loss", "softmax", "--row", "2"), "row must be from 0 to 1; got 2."),
    ],
)  # fmt: skip
def test_what_is_no_row_exits_2_with_what_must_hold(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, arrays in FILES.items():
        np.savez(tmp_path / name, **arrays)
    (tmp_path / "text.npz").write_text("no zip", encoding="utf-8")
    result = svref_command("explain", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"svref: {message}")
    assert result.stderr.count("\n") == 1


def test_the_screens_of_the_page_are_what_its_commands_print() -> None:
    page = Path(__file__).parent.parent / "docs" / "how-to" / "explain.md"
    shown = re.findall(
        r"```sh\nsvref explain ?([^\n]*)\n```\n\n```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(shown) == 2
    for command, text in shown:
        assert printed(*shlex.split(command)) == text
