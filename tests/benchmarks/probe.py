"""The process in which `memory` watches one contestant: python -m benchmarks.probe PLAN.

It goes on when a line arrives, and ends each step with a line of JSON: the inputs are there; a first call is done,
unless the inputs are files; the watched call is done. Whatever libraries print goes to the error stream.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from typing import Any, TextIO

import numpy as np

from benchmarks import contestants
from benchmarks.cases import Case, Problem


def main() -> None:
    """Run the plan that is the first argument."""
    plan = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    case = Case(**plan["case"])
    sys.stdin.readline()
    small = replace(case, B=4, C=300).problem()
    contestants.enter(plan["name"], small).run()
    problem = mapped(plan["files"]) if plan["files"] else case.problem()
    contestant = contestants.enter(plan["name"], problem)
    say(answers, {})
    if not plan["files"]:
        sys.stdin.readline()
        contestant.run()
        say(answers, {})
    sys.stdin.readline()
    start = time.perf_counter()
    result = contestant.run()
    seconds = time.perf_counter() - start
    say(answers, {"seconds": seconds, "returned": returned(plan["name"], problem)})
    del result


def mapped(files: list[str]) -> Problem:
    """Return the problem in files: embeddings and labels in memory, weights and gradient as memory maps."""
    embeddings, weights, labels, gradient = files
    maps = np.load(weights, mmap_mode="c"), np.load(gradient, mmap_mode="r+")
    return Problem((np.load(embeddings), maps[0]), np.load(labels), maps[1])


def returned(name: str, problem: Problem) -> int:
    """Return the size of the gradients, but for one that svref writes to a file."""
    to_file = problem.out is not None and name.startswith("svref")
    return sum(v.nbytes for v in (problem.arrays[:1] if to_file else problem.arrays))


def say(answers: TextIO, said: dict[str, Any]) -> None:
    """Write a line."""
    answers.write(json.dumps(said) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
