"""A matrix as one HTML page, in the look of every page of svref."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from svref.explain.document import document, scrolled
from svref.sharing.cells import Cell, Matrix, Row

KINDS = {"right": "target", "wrong": "support", "open": "negative"}  # classes of the style sheet: three colours
MARKS = {"right": "✓", "wrong": "✗", "open": "?"}  # so that nothing is said by colour alone


def table(matrix: Matrix) -> str:
    """Return a matrix as one HTML page that needs no other file and no script.

    Parameters
    ----------
    matrix : Matrix
        What `svref.sharing.matrix` returned.

    Returns
    -------
    str
        The table of the verdicts with the names of the mistakes; the mistakes with their formulas; the rows without a
        verdict and why; the commands that repeat each row; the versions and the digest.
    """
    title = matrix.title or "Candidates, as svref judges them"
    dtypes = list(dict.fromkeys(cell.dtype for cell in matrix.cells))
    heads = ["candidate", "loss", *dtypes, "versions"]
    rows = [_row(row, dtypes) for row in matrix.rows]
    stopped = ". The run was interrupted: some rows were not asked" if matrix.interrupted else ""
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(matrix.date)}, svref {escape(matrix.environment["svref"])}{stopped}.</p>',
        scrolled("Verdicts", heads, rows, "words"),
        *_mistakes(matrix),
        *_reasons(matrix),
        *_commands(matrix),
        *_environment(matrix),
    ]
    return document(title, parts)


def _row(row: Row, dtypes: list[str]) -> str:
    """Return a row of the table."""
    by_dtype = {cell.dtype: cell for cell in row.cells}
    cells = "".join(_cell(by_dtype.get(dtype)) for dtype in dtypes)
    versions = ", ".join(f"{name} {version}" for name, version in row.versions.items())
    return (
        f'<tr><th scope="row">{escape(row.asked.name)}</th><td>{row.asked.loss}</td>{cells}'
        f'<td class="soft">{escape(versions)}</td></tr>'
    )


def _cell(cell: Cell | None) -> str:
    """Return one cell: a mark, the verdict, the name of the mistake, and how many elements are wrong."""
    if cell is None:
        return "<td></td>"
    counted = ""
    if cell.wrong:
        counted = f'<br><span class="soft">{cell.wrong:,} of {cell.right + cell.wrong:,} wrong</span>'
    mark = f'<span aria-hidden="true">{MARKS[cell.kind]}</span> '
    return f'<td class="{KINDS[cell.kind]}">{mark}{escape(cell.text)}{counted}</td>'


def _mistakes(matrix: Matrix) -> Iterator[str]:
    """Yield the mistakes that were named, each with its formula."""
    named = {cell.mistake: cell.formula for cell in matrix.cells if cell.mistake}
    if named:
        rows = [
            f'<tr><th scope="row">{escape(name)}</th><td><code>{escape(formula)}</code></td></tr>'
            for name, formula in named.items()
        ]
        yield f"<section><h2>The mistakes</h2>{scrolled('Named mistakes', ('name', 'what it computes'), rows, 'words')}"
        yield "</section>"


def _reasons(matrix: Matrix) -> Iterator[str]:
    """Yield why rows have no verdict."""
    said = {(row.asked.name, cell.message): None for row in matrix.rows for cell in row.cells if cell.message}
    if said:
        yield "<section><h2>Without a verdict</h2><dl>"
        yield from (f"<dt>{escape(name)}</dt><dd>{escape(message)}</dd>" for name, message in said)
        yield "</dl></section>"


def _commands(matrix: Matrix) -> Iterator[str]:
    """Yield the commands that repeat the rows."""
    lines = "\n".join(row.command for row in matrix.rows if row.command)
    if lines:
        yield f'<section><h2>Row by row</h2><pre tabindex="0">{escape(lines)}</pre></section>'


def _environment(matrix: Matrix) -> Iterator[str]:
    """Yield versions, vectors and digests."""
    digests = {row.vectors: row.digest for row in matrix.rows if row.digest}
    facts = {"date": matrix.date, **matrix.environment, **{name: f"sha256 {d}" for name, d in digests.items()}}
    yield "<section><h2>The environment</h2><dl>"
    yield from (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    yield "</dl></section>"
