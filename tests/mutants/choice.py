"""Which mutants are tried: a number of them, drawn by a seed, spread over the files as their mutations are."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .hook import ROOT
from .operators import Mutation, mutations

__all__ = ["Mutant", "choose", "shares"]


@dataclass(frozen=True)
class Mutant:
    """A mutation of a file."""

    file: str
    mutation: Mutation

    def __str__(self) -> str:
        return f"{self.file}:{self.mutation.line}: {self.mutation.name}"


def choose(files: list[str], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants of ``files``, all where there are fewer. What is drawn of one file depends on no other."""
    found = {file: mutations((ROOT / file).read_text()) for file in files}
    chosen: list[Mutant] = []
    for file, share in shares({file: len(all_of_it) for file, all_of_it in found.items()}, count).items():
        drawn = random.Random(f"{seed} {file}").sample(found[file], share)
        chosen += [Mutant(file, mutation) for mutation in sorted(drawn, key=lambda m: m.index)]
    return chosen


def shares(sizes: dict[str, int], count: int) -> dict[str, int]:
    """``count`` in proportion to ``sizes``, by largest remainders."""
    total = sum(sizes.values())
    if count >= total:
        return dict(sizes)
    exact = {name: count * size / total for name, size in sizes.items()}
    result = {name: int(share) for name, share in exact.items()}
    rest = sorted(sizes, key=lambda name: (result[name] - exact[name], name))
    for name in rest[: count - sum(result.values())]:
        result[name] += 1
    return result
