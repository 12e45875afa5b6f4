"""Files of answers, which a program in any language wrote: for C++, CUDA, JavaScript, whose functions are not callable.

Format svref-answers/1: JSON with the losses and gradients of each case, by the case's id.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidates.call import GRADIENTS, Answer, Call, CandidateError, RefusedError, UnsupportedError
from svref.conformance.candidates.written import NOT_FINITE, is_number, numbers_of, off_grid
from svref.formats import numpy_dtype
from svref.golden.files.checks import validate
from svref.golden.files.pack import VectorsError
from svref.golden.files.reading import read_regular, shortened, strict_json
from svref.golden.vectors import Vectors

FORMAT = "svref-answers/1"
MOST_BYTES = 256 * 2**20  # of one file; answers to all of core have 0.2 MB
OUTPUTS = ("loss", *(name for names in GRADIENTS.values() for name in names))
DECLINED = ("error", "unsupported")  # an answer has one of these keys alone, in place of all outputs
_KEYS = "loss and grad_cosines, or loss, grad_embeddings and grad_weights; or error or unsupported alone"
_NOT_FINITE = ", ".join(f'"{text}"' for text in NOT_FINITE)


@dataclass(frozen=True)
class AnswersAdapter:
    """Looks answers up in files of format svref-answers/1, in place of calling a function.

    Parameters
    ----------
    producer : str
        The program that wrote the files, in its own words.
    dtype : str
        The dtype of all answers.
    loss_dtype : str
        The dtype of their losses.
    cases : mapping of str to mapping
        Each answer by the id of its case: its outputs as lists of numbers, or the reason why it has none.
    packs : mapping of str to (str, str)
        By file: the name and the version of the pack that the file says it answers.
    """

    layouts: ClassVar[tuple[str, ...]] = ()
    producer: str
    dtype: str
    loss_dtype: str
    cases: Mapping[str, Mapping[str, Any]] = field(repr=False)
    packs: Mapping[str, tuple[str, str]] = field(repr=False)

    @property
    def description(self) -> str:
        """The program that wrote the answers."""
        return f"answers of {self.producer}"

    def run(self, call: Call) -> Answer:
        """Return the answer to a case; raise an UnsupportedError where there is none."""
        content = self.cases.get(call.id)
        if content is None or "unsupported" in content:
            raise UnsupportedError("there is no answer" if content is None else str(content["unsupported"]))
        if "error" in content:
            raise RefusedError(f"the answer is an error: {content['error']}")
        if self.dtype != call.dtype.name:
            raise CandidateError(f"the answers are {self.dtype}, the check is for {call.dtype}; use --dtype.")
        shapes = [a.shape for a in call.arrays]
        gradients = [self._array(content, name, s) for name, s in zip(GRADIENTS[call.level], shapes, strict=True)]
        losses = self._array(content, "loss", call.labels.shape)
        if losses is None:
            raise CandidateError("the answer has no loss.")
        return Answer(losses, tuple(gradients), call.cotangent)

    def remarks(self, vectors: Vectors) -> dict[str, int]:
        """Return a remark on answers to cases that the pack does not have, with their number.

        Raises
        ------
        CandidateError
            If the answers are to another pack, or to another major version of this one.
        """
        for file, (pack, version) in self.packs.items():
            if pack != vectors.name or version.split(".")[0] != vectors.version.split(".")[0]:
                raise CandidateError(
                    f"the answers must be to the pack they are judged by, {vectors.name} {vectors.version}; "
                    f"{file} answers {pack} {version}: use --pack, or answer the cases that svref golden export writes."
                )
        known = {vector.id for vector in vectors}
        unknown = [case for case in self.cases if case not in known]
        return (
            {f"answers cases that the pack does not have, first {shortened(unknown[0], 80)}": len(unknown)}
            if unknown
            else {}
        )

    def _array(self, content: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
        """Return an output of an answer in the dtype of the answers; None if the answer does not have it."""
        if name not in content:
            return None
        numbers = numbers_of(content[name])
        if numbers.size != np.prod(shape):
            raise CandidateError(f"{name} must have {np.prod(shape):g} numbers, row by row; got {numbers.size}.")
        dtype = numpy_dtype(self.loss_dtype if name == "loss" else self.dtype)
        with np.errstate(over="ignore", under="ignore"):
            return numbers.reshape(shape).astype(dtype)


def read(path: Path) -> AnswersAdapter:
    """Return the answers of a file, or of all JSON files of a directory."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise CandidateError(f"{path} holds no answers: it has no *.json of format {FORMAT}.")
    contents = {str(file): _content(file) for file in files}
    dtypes = sorted({_dtypes(content) for content in contents.values()})
    if len(dtypes) > 1:
        raise CandidateError(f"all answers must be of one dtype; got {', '.join(map(_in_words, dtypes))}.")
    try:
        numpy_dtype(dtypes[0][0]), numpy_dtype(dtypes[0][1])
    except ImportError as error:
        raise CandidateError(f"{path} holds answers in {_in_words(dtypes[0])}. {error}") from error
    given = [case for content in contents.values() for case in content["answers"]]
    if len(set(given)) < len(given):
        twice = next(case for case in given if given.count(case) > 1)
        raise CandidateError(f"{path} answers {twice} twice.")
    return AnswersAdapter(
        producer=next(iter(contents.values()))["producer"],
        dtype=dtypes[0][0],
        loss_dtype=dtypes[0][1],
        cases={case: answer for content in contents.values() for case, answer in content["answers"].items()},
        packs={file: (content["pack"], content["version"]) for file, content in contents.items()},
    )


def _dtypes(content: Mapping[str, Any]) -> tuple[str, str]:
    """Return the dtype of the answers in a file, and that of their losses."""
    return content["dtype"], content.get("loss_dtype", content["dtype"])


def _in_words(dtypes: tuple[str, str]) -> str:
    """Return the dtype of answers, and that of the losses if it is another."""
    dtype, loss = dtypes
    return dtype if loss == dtype else f"{dtype} with losses in {loss}"


def _content(file: Path) -> Any:
    """Return the content of a file of answers; raise a CandidateError that says what is wrong with it."""
    try:
        content = strict_json(read_regular(file, MOST_BYTES, follow_links=True), whole=float)
        _check(content, str(file))
    except (OSError, ValueError, VectorsError) as error:
        raise CandidateError(f"{file} holds no answers: {error}") from error
    return content


def _check(content: Any, name: str) -> None:
    """Raise unless the content of a file follows the schema.

    The answers are checked here and not by the schema alone, so that the error can name the case and the key.
    """
    if isinstance(content, dict) and isinstance(content.get("answers"), dict):
        validate("answers", {**content, "answers": {}}, name)
        for case, answer in content["answers"].items():
            try:
                _check_answer(answer, *_dtypes(content))
            except ValueError as error:
                raise ValueError(f"answer of {shortened(case, 80)} {error}") from error
    validate("answers", content, name)


def _check_answer(answer: Any, dtype: str, loss_dtype: str) -> None:
    """Raise unless an answer has outputs, each a list of numbers, or one key of `DECLINED` alone with a text."""
    if not isinstance(answer, dict):
        raise ValueError(f"must be an object; got {_echo(answer)}.")
    declined = next((key for key in DECLINED if key in answer), None)
    needed, known = ("loss", OUTPUTS) if declined is None else (declined, (declined,))
    unknown = next((key for key in answer if key not in known), None)
    if unknown is not None:
        kind = "unknown key" if unknown not in (*OUTPUTS, *DECLINED) else f"beside {declined!r} the key"
        raise ValueError(f"has {kind} {_echo(unknown)}; keys are {_KEYS}.")
    if needed not in answer:
        raise ValueError(f"has no key {needed!r}; keys are {_KEYS}.")
    if declined is not None and not isinstance(answer[declined], str):
        raise ValueError(f"must say why in {declined!r}, as a text; got {_echo(answer[declined])}.")
    for key in known if declined is None else ():
        _check_numbers(key, answer.get(key, []), loss_dtype if key == "loss" else dtype)


def _check_numbers(key: str, values: Any, dtype: str) -> None:
    """Raise unless an output is a flat list of numbers of a format."""
    if not isinstance(values, list):
        raise ValueError(f"must have a list of numbers in {key!r}; got {_echo(values)}.")
    for i, value in enumerate(values):
        if not is_number(value):
            raise ValueError(
                f'must have numbers in {key!r}, row by row in one list, also "0x1.8p-3", or {_NOT_FINITE}; '
                f"got {_echo(value)} at {i}."
            )
    if found := off_grid(values, dtype):
        i, near = found
        which = "; losses of another dtype need a key loss_dtype" if key == "loss" else ""
        raise ValueError(
            f"must have numbers of {dtype} in {key!r}; got {_echo(values[i])} at {i}, nearest is {near!r}{which}."
        )


def _echo(value: Any) -> str:
    """Return a value from a file for an error message, shortened, since it may be a whole gradient."""
    return shortened(reprlib.repr(value), 80)
