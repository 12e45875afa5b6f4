"""Answers that any program wrote to JSON files: for C++, CUDA, JavaScript, where nothing can be called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svref.conformance.candidate import GRADIENTS, Answer, Call, CandidateError, UnsupportedError

FORMAT = "svref-answers/1"


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
    """

    producer: str
    dtype: str
    cases: Mapping[str, Mapping[str, Any]] = field(repr=False)

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
            raise CandidateError(f"the answer is an error: {found['error']}")
        if self.dtype != call.dtype.name:
            raise CandidateError(f"the answers are {self.dtype}, the check is for {call.dtype}; use --dtype.")
        shapes = [a.shape for a in call.arrays]
        gradients = [self._tensor(found, name, s) for name, s in zip(GRADIENTS[call.level], shapes, strict=True)]
        losses = self._tensor(found, "loss", call.labels.shape)
        if losses is None:
            raise CandidateError("the answer has no loss.")
        return Answer(losses, tuple(gradients), call.cotangent)

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
    from svref.golden.tree import VectorsError, validate  # needs an extra that live candidates do without

    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise CandidateError(f"{path} has no *.json of format {FORMAT}.")
    contents = []
    for file in files:
        try:
            content = json.loads(file.read_bytes())
            validate("answers", content, str(file))
        except (OSError, ValueError, VectorsError) as error:
            raise CandidateError(f"{file} holds no answers: {error}") from error
        contents.append(content)
    dtypes = sorted({content["dtype"] for content in contents})
    if len(dtypes) > 1:
        raise CandidateError(f"all answers must be of one dtype; got {', '.join(dtypes)}.")
    given = [case for content in contents for case in content["answers"]]
    if len(set(given)) < len(given):
        twice = next(case for case in given if given.count(case) > 1)
        raise CandidateError(f"{path} answers {twice} twice.")
    cases = {case: answer for content in contents for case, answer in content["answers"].items()}
    return AnswersAdapter(contents[0]["producer"], dtypes[0], cases)
