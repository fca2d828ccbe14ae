"""Which mutants are tried: a number of them, drawn by a seed, spread over the files as their mutations are."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

from .hook import ROOT
from .operators import Mutation, mutations

__all__ = ["Mutant", "choose", "shares", "source_hash"]


@dataclass(frozen=True)
class Mutant:
    """A mutation of a file; ``source``, the hash of the file that it was found in."""

    file: str
    mutation: Mutation
    source: str

    def __str__(self) -> str:
        return f"{self.file}:{self.mutation.line}: {self.mutation.name}"


def choose(files: list[str], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants of ``files``, all where there are fewer. What is drawn of one file depends on no other."""
    sources = {file: source_hash(file) for file in files}
    found = {file: mutations((ROOT / file).read_text()) for file in files}
    chosen: list[Mutant] = []
    for file, share in shares({file: len(all_of_it) for file, all_of_it in found.items()}, count).items():
        drawn = random.Random(f"{seed} {file}").sample(found[file], share)
        chosen += [Mutant(file, mutation, sources[file]) for mutation in sorted(drawn, key=lambda m: m.index)]
    return chosen


def source_hash(file: str) -> str:
    """Of a source as it is now."""
    return hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:16]


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
