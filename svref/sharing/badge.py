"""A report as a small SVG, to show beside a project's name."""

from __future__ import annotations

from html import escape

from svref.conformance import Report

HEIGHT, LETTER, ROOM = 20, 6.6, 7.0  # pixels: the height, the width of a letter, the room beside a text
COLORS = {"PASS": "#1f6f3d", "FAIL": "#a32014"}  # white text on each has a contrast of at least 6
OTHER, LEFT = "#5a5a5a", "#333333"


def badge(report: Report) -> str:
    """Return a badge: "svref", and the verdict with the dtypes and the vectors, or with the name of the mistake.

    Parameters
    ----------
    report : Report
        What `svref.check` returned.

    Returns
    -------
    str
        An SVG of 20 pixels in height, which needs no other file. Its title is its text, for screen readers.

    Examples
    --------
    >>> import svref
    >>> from svref.sharing import badge
    >>> report = svref.check("docs/examples/easy_margin.py:sv_am", "sv-am-softmax", dtype="float64")
    >>> print(badge(report).splitlines()[1])
    <title>svref: FAIL mask-on-uneased-margin</title>
    """
    right = text_of(report)
    widths = [round(len(text) * LETTER + 2 * ROOM) for text in ("svref", right)]
    color = COLORS.get(report.verdict.split("(")[0].split("-")[0], OTHER)
    return "\n".join([*_lines(right, widths, color), ""])


def text_of(report: Report) -> str:
    """Return the words at the right of the badge, such as "PASS float32+float64 core 1.2.0".

    They say what the check was narrowed to: a dialect, fixed parameters, another format, chosen cases, `partial`.
    """
    if not report.ok:
        return f"{report.verdict.split('(')[0].removesuffix('-AS')} {report.explanation}".strip()
    dtypes = "+".join(sorted(_dtype_of(one) for one in report.of.values() if one.ok))
    fixed = ", ".join(f"{name}={value:g}" for name, value in report.header.get("fixed", {}).items())
    dialect = report.header.get("dialect", "")
    words = [
        report.verdict, dtypes, str(report.header.get("vectors", "")), f"as {dialect}" if dialect else "",
        f"at {fixed}" if fixed else "", _single(report), "partial" if report.partial else "",
    ]  # fmt: skip
    return " ".join(filter(None, words))


def _dtype_of(report: Report) -> str:
    """Return the dtype of a report, and what was computed in if that is another format: "float32 in bfloat16"."""
    dtype, compute = report.header["dtype"], report.header["compute"]
    return dtype if compute == dtype else f"{dtype} in {compute}"


def _single(report: Report) -> str:
    """Return how many cases were chosen; "" if all of them were judged."""
    number = len(report.header.get("chosen", ()))
    return f"only {number} case{'' if number == 1 else 's'}" if number else ""


def _lines(right: str, widths: list[int], color: str) -> list[str]:
    """Return the lines of the SVG."""
    width, text = sum(widths), escape(right)
    style = 'fill="#fff" font-family="Verdana, DejaVu Sans, sans-serif" font-size="11"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}" '
        f'role="img" aria-label="svref: {escape(right, quote=True)}">',
        f"<title>svref: {text}</title>",
        f'<rect width="{width}" height="{HEIGHT}" rx="3" fill="{color}"/>',
        f'<path d="M3 0h{widths[0] - 3}v{HEIGHT}H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="{LEFT}"/>',
        f'<text x="{ROOM:g}" y="14" textLength="{widths[0] - 2 * ROOM:g}" {style}>svref</text>',
        f'<text x="{widths[0] + ROOM:g}" y="14" textLength="{widths[1] - 2 * ROOM:g}" {style}>{text}</text>',
        "</svg>",
    ]
