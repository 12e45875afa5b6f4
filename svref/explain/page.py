"""The derivation of one row as one HTML page: no network, no script, light and dark, for a screen, a slide or paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape

import numpy as np

from svref.checks import check_row
from svref.explain.document import document, inlined, lowered, scrolled
from svref.explain.formulas import mathml
from svref.explain.lines import (
    Line,
    gradient_lines,
    kind_of,
    loss_lines,
    negative_lines,
    number,
    shown_classes,
    target_lines,
)
from svref.reference import Gradients, Step, backward

FOOT = '<p class="soft">The numbers at the right are those of the equations in svref\'s derivation.</p>'
SECTIONS = {
    "1 The target": "The margin lowers the target's cosine from c_y to f.",
    "2 The negatives": "A negative whose cosine exceeds f is a support vector, and h_k emphasises it. "
    "Of the negatives, the one with the largest p_k is written out.",
    "3 The loss": "The loss compares the negatives with the target: it is small if every r_k is far below 0.",
    "4 The gradient": "A step against it raises c_y and lowers the negatives, most of all the support vectors.",
}


def page(
    step: Step,
    row: int = 0,
    *,
    title: Sequence[str] = (),
    parameters: Mapping[str, float] | None = None,
    picture: str | None = None,
    alt: str = "",
) -> str:
    """Return how one row's loss and gradient come about, as an HTML page that needs no other file.

    Parameters
    ----------
    step : Step
        What `SVXSoftmax.forward` returned.
    row : int
        Which row of the batch.
    title : sequence of str
        Lines to print above, such as the name of a case.
    parameters : mapping, optional
        The parameters of the loss by name; None is s and t. The derivative by t is shown if t is one.
    picture : str, optional
        An SVG to show, such as that of `svref.plots.row`.
    alt : str
        What one sees in it.

    Returns
    -------
    str
        The page. Of more than ten classes, the target and the negatives with the largest p_k are in the tables.

    Raises
    ------
    ValueError
        If the step has no such row.

    Examples
    --------
    >>> import numpy as np, svref
    >>> from svref.explain import page
    >>> step = svref.sv_am_softmax(s=4.0).forward(np.cos(np.deg2rad([[40, 60, 150]])), [0])
    >>> print(page(step).splitlines()[1])
    <html lang="en">
    """
    rows = len(step.labels)
    check_row(row, rows)
    given = {"s": step.s, "t": step.emphasis.t} if parameters is None else parameters
    parts = [*_top(step, row, title, given)]
    if picture is not None:
        parts.append(f"<figure>{inlined(picture, alt)}</figure>")
    parts += [*sections(step, row, given), FOOT]
    return document(f"svref explains {title[0] if title else 'one row of a loss'}", parts)


def sections(step: Step, row: int, parameters: Mapping[str, float], heading: str = "h2") -> Iterator[str]:
    """Yield the four sections of a row: the target, the negatives, the loss and the gradient."""
    gradients = backward(step, np.ones(len(step.labels)))
    lines = (
        target_lines(step, row), negative_lines(step, row), loss_lines(step, row),
        gradient_lines(step, row, gradients, "t" in parameters),
    )  # fmt: skip
    tables = {"2 The negatives": _negatives(step, row), "4 The gradient": _gradient(step, row, gradients)}
    for (name, sentence), found in zip(SECTIONS.items(), lines, strict=True):
        yield f"<section><{heading}>{name}</{heading}>"
        yield f"<p>{lowered(sentence)}</p>"
        yield _list(found)
        yield tables.get(name, "")
        yield "</section>"


def _top(step: Step, b: int, title: Sequence[str], parameters: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines up to the first section."""
    named = ", ".join(f"{key} = {number(value)}" for key, value in parameters.items())
    yield f"<h1>L = {number(step.loss[b])} nats, step by step</h1>"
    yield from (f"<p>{escape(line)}</p>" for line in title)
    yield f"<p>{escape(named)}; label y = {step.labels[b]}; {step.cosines.shape[1]} classes</p>"


def _list(lines: Iterable[Line]) -> str:
    """Return formulas and numbers side by side."""
    items = []
    for line in lines:
        is_words = line.numbers.startswith(("with", "of", "number"))
        numbers = f'<span class="soft">{escape(line.numbers)}:</span>' if is_words else ""
        if line.numbers and not is_words:
            numbers = f"= {_raised(line.numbers)} "
        result = f'<span class="numbers">{numbers}{"" if is_words else "="} <b>{escape(line.result)}</b></span>'
        equation = f'<span class="equation">{f"({line.equation})" if line.equation else ""}</span>'
        items.append(f"<li><span>{mathml(line.formula)}</span>{result}{equation}</li>")
    return "<ol>" + "\n".join(items) + "</ol>"


def _raised(text: str) -> str:
    """Return numbers with their exponents raised."""
    return re.sub(r"\^\{([^}]*)\}", r"<sup>\1</sup>", escape(text))


def _negatives(step: Step, b: int) -> str:
    """Return the table of the classes up to their relative logits."""
    f = step.margin_cosine[b]
    heads = ("c_k", "c_k − f", "I_k", "h_k", "r_k")

    def cells(k: int) -> list[str]:
        if k == step.labels[b]:
            return [number(step.cosines[b, k]), "", "", "", ""]
        with np.errstate(over="ignore"):
            h = number(np.exp(step.log_h[b, k]))
        logit = number(step.relative_logits[b, k])
        return [number(step.cosines[b, k]), number(step.cosines[b, k] - f), str(int(step.mask[b, k])), h, logit]

    return _table(step, b, "The classes of the row", heads, cells)


def _gradient(step: Step, b: int, gradients: Gradients) -> str:
    """Return the table of the classes' probabilities and derivatives."""
    slope = step.emphasis.slope(step.mask)[b]
    slope[step.labels[b]] = step.margin.by_cosine(step.angle)[b]

    def cells(k: int) -> list[str]:
        steep = number(slope[k]) if k != step.labels[b] else f"{number(slope[k])} (f')"
        return [number(step.probabilities[b, k]), steep, number(gradients.cosines[b, k])]

    heads = ("p_k", "slope_k", "∂L/∂c_k")
    return _table(step, b, "The gradient of the row", heads, cells)


def _table(step: Step, b: int, caption: str, heads: Sequence[str], cells: Callable[[int], list[str]]) -> str:
    """Return a table with a row for each class that is shown."""
    shown = shown_classes(step, b)
    left_out = step.cosines.shape[1] - len(shown)
    if left_out:
        caption += f"; {left_out} with a smaller probability are left out"
    body = []
    for k in map(int, shown):
        kind = kind_of(step, b, k)
        values = "".join(f"<td>{escape(text)}</td>" for text in cells(k))
        body.append(f'<tr><th scope="row" class="{kind.split()[0]}">{k}, {kind}</th>{values}</tr>')
    return scrolled(caption, ["class k", *map(lowered, heads)], body)
