"""Answers that any program wrote to JSON files: for C++, CUDA, JavaScript, where nothing can be called."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidates.call import GRADIENTS, Answer, Call, CandidateError, RefusedError, UnsupportedError
from svref.golden.files.checks import shortened, validate
from svref.golden.files.pack import VectorsError
from svref.golden.vectors import Vectors

FORMAT = "svref-answers/1"
OUTPUTS = ("loss", *(name for names in GRADIENTS.values() for name in names))
DECLINED = ("error", "unsupported")  # each alone, in place of all outputs
WORDS = ("NaN", "Infinity", "-Infinity")
_KEYS = "loss and grad_cosines, or loss, grad_embeddings and grad_weights; or error or unsupported alone"
_WORDS = ", ".join(f'"{word}"' for word in WORDS)


@dataclass(frozen=True)
class AnswersAdapter:
    """A directory of files, or one file, of format svref-answers/1.

    Parameters
    ----------
    producer : str
        What wrote them.
    dtype : str
        The dtype of all answers.
    cases : mapping
        The answers by the id of the case.
    packs : mapping
        The pack and its version that each file says it answers.
    """

    producer: str
    dtype: str
    cases: Mapping[str, Mapping[str, Any]] = field(repr=False)
    packs: Mapping[str, tuple[str, str]] = field(repr=False)

    @property
    def description(self) -> str:
        """What wrote the answers."""
        return f"answers of {self.producer}"

    def run(self, call: Call) -> Answer:
        """Return the answer to a case; cases without one are unsupported."""
        found = self.cases.get(call.id)
        if found is None or "unsupported" in found:
            raise UnsupportedError("there is no answer" if found is None else str(found["unsupported"]))
        if "error" in found:
            raise RefusedError(f"the answer is an error: {found['error']}")
        if self.dtype != call.dtype.name:
            raise CandidateError(f"the answers are {self.dtype}, the check is for {call.dtype}; use --dtype.")
        shapes = [a.shape for a in call.arrays]
        gradients = [self._tensor(found, name, s) for name, s in zip(GRADIENTS[call.level], shapes, strict=True)]
        losses = self._tensor(found, "loss", call.labels.shape)
        if losses is None:
            raise CandidateError("the answer has no loss.")
        return Answer(losses, tuple(gradients), call.cotangent)

    def remarks(self, vectors: Vectors) -> dict[str, int]:
        """Return a remark on answers to nothing; raise a CandidateError if they are to another pack than this one."""
        for file, (pack, version) in self.packs.items():
            if pack != vectors.name or version.split(".")[0] != vectors.version.split(".")[0]:
                raise CandidateError(
                    f"the answers must be to the pack they are judged by, {vectors.name} {vectors.version}; "
                    f"{file} answers {pack} {version}: use --pack, or answer the cases that svref golden export writes."
                )
        known = {vector.id for vector in vectors}
        unknown = [case for case in self.cases if case not in known]
        return {f"answers what is no case of the pack, first {unknown[0]}": len(unknown)} if unknown else {}

    def _tensor(self, found: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
        if name not in found:
            return None
        numbers = np.array([float(v) for v in found[name]], dtype=np.float64)
        if numbers.size != np.prod(shape):
            raise CandidateError(f"{name} must have {np.prod(shape):g} numbers, row by row; got {numbers.size}.")
        with np.errstate(over="ignore", under="ignore"):
            return numbers.reshape(shape).astype(self.dtype)


def read(path: Path) -> AnswersAdapter:
    """Return the answers of a file, or of all JSON files of a directory."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise CandidateError(f"{path} holds no answers: it has no *.json of format {FORMAT}.")
    contents = {str(file): _content(file) for file in files}
    dtypes = sorted({content["dtype"] for content in contents.values()})
    if len(dtypes) > 1:
        raise CandidateError(f"all answers must be of one dtype; got {', '.join(dtypes)}.")
    given = [case for content in contents.values() for case in content["answers"]]
    if len(set(given)) < len(given):
        twice = next(case for case in given if given.count(case) > 1)
        raise CandidateError(f"{path} answers {twice} twice.")
    return AnswersAdapter(
        producer=next(iter(contents.values()))["producer"],
        dtype=dtypes[0],
        cases={case: answer for content in contents.values() for case, answer in content["answers"].items()},
        packs={file: (content["pack"], content["version"]) for file, content in contents.items()},
    )


def _content(file: Path) -> Any:
    """Return what a file holds, if that is answers."""
    try:
        content = json.loads(file.read_bytes(), object_pairs_hook=_once, parse_constant=_no_number, parse_int=float)
        _check(content, str(file))
    except (OSError, ValueError, RecursionError, VectorsError) as error:
        raise CandidateError(f"{file} holds no answers: {error}") from error
    return content


def _check(content: Any, name: str) -> None:
    """Raise unless a file follows its schema; what is wrong in an answer is told with its case and key."""
    if isinstance(content, dict) and isinstance(content.get("answers"), dict):
        validate("answers", {**content, "answers": {}}, name)
        for case, answer in content["answers"].items():
            try:
                _check_answer(answer)
            except ValueError as error:
                raise ValueError(f"answer of {shortened(case, 80)} {error}") from error
    validate("answers", content, name)


def _check_answer(answer: Any) -> None:
    """Raise unless an answer has the keys of outputs, or one of those that decline, and what belongs there."""
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
        _check_numbers(key, answer.get(key, []))


def _check_numbers(key: str, values: Any) -> None:
    """Raise unless an output is a flat list of numbers."""
    if not isinstance(values, list):
        raise ValueError(f"must have a list of numbers in {key!r}; got {_echo(values)}.")
    for i, value in enumerate(values):
        if not isinstance(value, float) and value not in WORDS:
            raise ValueError(
                f"must have numbers in {key!r}, row by row in one list, or {_WORDS}; got {_echo(value)} at {i}."
            )


def _echo(value: Any) -> str:
    """Return what stands in a file, shortened: it may be a whole gradient."""
    return shortened(reprlib.repr(value), 80)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys are all different, of which JSON would keep the last one silently."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{shortened(key, 80)!r} must stand once in an object; it stands there twice.")
        found[key] = value
    return found


def _no_number(literal: str) -> NoReturn:
    raise ValueError(f'JSON has no number {literal}; write the string "{literal}".')
