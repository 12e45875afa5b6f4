"""The pages of the public names, made from their docstrings; a public name without documentation is an error.

In docs/reference/api*.md a comment such as `<!-- api svref.head.value_and_grad svref.head.HeadGradients -->` is
replaced by the documentation of these names, and `<!-- api svref.plots.* -->` by that of all names of a module.
`PUBLIC` says which names must be on a page.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

PUBLIC = (
    "svref", "svref.head", "svref.head.shards", "svref.head.distributed", "svref.shards", "svref.exact",
    "svref.golden", "svref.conformance", "svref.deviations", "svref.deviations.dialects", "svref.dialects",
    "svref.explain", "svref.reference", "svref.plots", "svref.testing", "svref.strategies",
    "svref.sharing",
)  # fmt: skip
NOT_FOR_USERS = {"as_in_the_paper", "t_less_one", "angle_in_degrees"}  # parts of the table of dialects
COMMENT = re.compile(r"^<!-- api ([\w.*\s]+?) -->$", re.MULTILINE)
BARS = re.compile(r"(``.*?``|`[^`]*`)")  # code, which a bar in it leaves alone
ALIGNED = re.compile(r"^\w+ {2,}\S")  # a file or a name, and what it is
logger = logging.getLogger(__name__)


def expand(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace the comments of an API page by directives of autodoc."""
    if docname.startswith("reference/api"):
        source[0] = COMMENT.sub(lambda comment: "\n\n".join(map(directive, names(comment[1]))), source[0])


def names(text: str) -> Iterator[str]:
    """Yield the names of a comment, with those of a module in place of its star."""
    for name in text.split():
        module = name.removesuffix(".*")
        if name != module:
            yield from names_of(module)
        elif name not in PUBLIC or importlib.util.find_spec(name):
            yield name


def directive(name: str) -> str:
    """Return the directive that documents a name."""
    thing = found(name)
    module, _, last = name.rpartition(".")
    text = f".. py:data:: {last}\n   :module: {module}\n\n   {documentation(name, thing)}"
    if inspect.ismodule(thing):
        text = f".. automodule:: {name}\n   :no-members:"
    elif inspect.isclass(thing):
        text = f".. auto{'exception' if issubclass(thing, BaseException) else 'class'}:: {name}"
    elif inspect.isroutine(thing):
        text = f".. autofunction:: {name}"
    return f"```{{eval-rst}}\n{text}\n```"


def found(name: str) -> Any:
    """Return what a dotted name stands for; where a module has a function and a file of one name, the function."""
    parent, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(parent), last) if parent else importlib.import_module(last)
    except (AttributeError, ModuleNotFoundError):
        return importlib.import_module(name)


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield every public name with its module, and what it stands for."""
    for module in PUBLIC:
        for name in names_of(module):
            yield name, found(name)


def names_of(module: str) -> list[str]:
    """Return the public names of a module, dotted; none where this svref does not have it."""
    if importlib.util.find_spec(module) is None:
        return []
    room = importlib.import_module(module)
    public = getattr(room, "__all__", None) or own_names(room)
    return [f"{module}.{name}" for name in public if name not in NOT_FOR_USERS]


def own_names(room: ModuleType) -> list[str]:
    """Return the functions and classes that a module without `__all__` defines."""
    kinds = (type, type(own_names))
    return [n for n, o in vars(room).items() if n[0] != "_" and isinstance(o, kinds) and o.__module__ == room.__name__]


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of every public name that is on no page, and of every one without a docstring."""
    for line in wrong(set(env.domains["py"].data["objects"])):
        logger.warning(line)
    logger.info("%d public names are documented", len(list(public_names())))


def wrong(on_pages: set[str]) -> Iterator[str]:
    """Yield what is wrong with the public names, where these names are on the pages."""
    known = {id(thing) for thing in map(found_or_none, on_pages) if not isinstance(thing, str | None)}
    for name, thing in public_names():
        if name not in on_pages and id(thing) not in known:
            yield f"the public name {name} is on no page: add it to a page docs/reference/api*.md"
        for part, what in parts(name, thing):
            if len(documentation(part, what)) < 10:
                yield f"the public name {part} has no documentation"


def found_or_none(name: str) -> Any:
    """Return what a name on a page stands for; None for a member of a class."""
    try:
        return found(name)
    except (AttributeError, ImportError):
        return None


def parts(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield a name and, of a class, its methods and properties."""
    yield name, thing
    if inspect.isclass(thing):
        for member, what in vars(thing).items():
            if member[0] != "_" and (callable(what) or isinstance(what, property)):
                yield f"{name}.{member}", what


def documentation(name: str, thing: Any) -> str:
    """Return the docstring of something; of data, the comment `#:` above it."""
    if inspect.ismodule(thing) or inspect.isclass(thing) or inspect.isroutine(thing) or isinstance(thing, property):
        return inspect.getdoc(thing) or ""
    module, _, last = name.rpartition(".")
    comments = ModuleAnalyzer.for_module(home(module, last)).find_attr_docs()
    return " ".join(comments.get(("", last), ())).strip()


def home(module: str, name: str) -> str:
    """Return the module that defines a name: the one it is imported from, or the module itself."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return next((node.module or module for node in imports if name in {alias.name for alias in node.names}), module)


def sections(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make sections of "Domain", "Equals" and "References" where they are words above an indented text."""
    found, inside = [], False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        heading = line in ("Domain", "Equals", "References") and below.startswith("    ")
        inside = heading or (inside and (not line or line.startswith("    ")))
        found += ["", line, "-" * len(line)] if heading else [line.removeprefix("    ") if inside else line]
    lines[:] = found


def tables(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Show the aligned lines of a module's docstring, and what is indented in it, as they are; and bars as bars."""
    lines[:] = [line if "\\" in line or line.lstrip().startswith((">>>", "...")) else bars(line) for line in lines]
    if what == "module":
        lines[:] = list(literal(lines))


def bars(line: str) -> str:
    """Return a line in which |v| is the length of v, not the name of a substitution of reStructuredText."""
    parts = BARS.split(line)  # every second part is code
    return "".join(part if i % 2 else part.replace("|", r"\|") for i, part in enumerate(parts))


def literal(lines: list[str]) -> Iterator[str]:
    """Yield lines with a literal block around those that are aligned or indented."""
    inside = False
    for number, line in enumerate(lines):
        after = next((later for later in lines[number:] if later.strip()), "")
        if ALIGNED.match(line) or line.startswith("    "):
            if not inside:
                yield from ("", "::", "")
            inside = True
            yield f"    {line}"
        elif inside and not line.strip() and (ALIGNED.match(after) or after.startswith("    ")):
            yield line
        else:
            inside = False
            yield line


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("source-read", expand)
    app.connect("autodoc-process-docstring", sections, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", tables)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
