"""What came of each mutant, a line of JSON each, written as soon as it is known: a run goes on where one stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .choice import Mutant

__all__ = ["Result", "Store"]


@dataclass(frozen=True)
class Result:
    """``outcome``: "killed", "time", "survived" or "not run", where no test runs the statement; ``test``, the first
    that failed; ``tests``, how many there are that run it; ``left``, those of them that were left out for time."""

    file: str
    name: str
    line: int
    source: str
    outcome: str
    test: str = ""
    tests: int = 0
    left: int = 0
    seconds: float = 0.0

    @property
    def killed(self) -> bool:
        """Whether a test found it."""
        return self.outcome in ("killed", "time")


class Store:
    """The results of all runs; the last one of a mutant counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[tuple[str, str, str], Result] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                self._remember(Result(**json.loads(line)))
            except ValueError:  # the end of a line was lost with the run
                continue

    def get(self, mutant: Mutant) -> Result | None:
        """The result of a mutant of the source as it is now."""
        return self.known.get((mutant.file, mutant.mutation.name, mutant.source))

    def add(self, result: Result) -> None:
        """Write it down."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        self._remember(result)

    def _remember(self, result: Result) -> None:
        self.known[result.file, result.name, result.source] = result
