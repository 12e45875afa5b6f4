"""What is printed of a failing example beside its Python: what each row is at, and a line for `svref explain`."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import currently_in_test_context, note

from svref.strategies.example import Inputs


def explain_lines(example: Inputs) -> list[str]:
    """Return a command for each row that shows its loss and its gradient number by number.

    Parameters
    ----------
    example : Example or HeadExample
        Of a head, the rows of its cosines in float64 are shown.

    Returns
    -------
    list of str
        One line a row; empty if the loss is none of `svref.VARIANTS`.

    Examples
    --------
    >>> import svref
    >>> from svref.strategies import Example, explain_lines
    >>> explain_lines(Example(svref.sv_softmax(s=4.0, t=1.5), [[0.5, 0.75]], [0]))
    ['svref explain --cosines "0.5 0.75" --label 0 --loss sv-softmax --with s=4 --with t=1.5']
    """
    if example.variant is None:
        return []
    options = "".join(f" --with {key}={written(value)}" for key, value in example.parameters.items())
    return [
        f'svref explain --cosines "{" ".join(map(written, row))}" --label {label} --loss {example.variant}{options}'
        for row, label in zip(example.step.cosines, example.labels, strict=True)
    ]


def written(number: float) -> str:
    """Return a number as short as it can be read back: 0.5, -1, 0.9921976672293197."""
    return f"{number:g}" if float(f"{number:g}") == number else repr(float(number))


def rows_of(example: Inputs) -> Iterator[str]:
    """Yield a line for each row: what it is at, and how far its nearest decision is."""
    for b, (at, distance, undecided) in enumerate(zip(example.at, example.distance, example.undecided, strict=True)):
        within = f", within rounding of {example.dtype}" if undecided else ""
        yield f"row {b}: {at}; nearest decision {distance:.3g} away{within}"


class Shown:
    """An example as text, which is made only if Hypothesis prints it."""

    def __init__(self, example: Inputs) -> None:
        self.example = example

    def __repr__(self) -> str:
        return "\n".join([*rows_of(self.example), *explain_lines(self.example)])


def show(example: Inputs) -> None:
    """Let Hypothesis print more about an example if the test fails with it."""
    if currently_in_test_context():
        note(Shown(example))
