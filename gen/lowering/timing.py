"""The cycle law of all elements of a design together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ...hdl.cores.window.law import WindowLaw
from ...hdl.streams.compiled import solved
from ...hdl.streams.law import Gate, Link, SinkLaw, SourceLaw, solve
from .streams import Boundary, Element

__all__ = ["Timing", "timing"]

LARGE = 20_000
"""Words on all boundaries together from which on the law is compiled: below, Python takes milliseconds."""


@dataclass(frozen=True)
class Timing:
    """What the cycle law says: ``transfers``, cycles by boundary; ``stages``, the solved laws of the stages; ``whole``,
    whether all words of whole frames have moved."""

    transfers: dict[str, np.ndarray]
    stages: dict[str, WindowLaw]
    whole: bool

    def first(self, counts: Mapping[str, int]) -> Timing:
        """What a run of fewer frames would have said, ``counts`` words by boundary: nothing waits for later frames. The
        laws of the stages stay those of the whole run."""
        return replace(self, transfers={name: cycles[: counts[name]] for name, cycles in self.transfers.items()})


def timing(
    elements: list[Element],
    boundaries: list[Boundary],
    words: int,
    source_pauses: np.ndarray | tuple = (),
    sink_pauses: np.ndarray | tuple = (),
    costs: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Timing:
    """Solve the law of ``elements`` between ``boundaries`` for ``words`` input words; for the rest see
    ``gen.design.Design.law``."""
    tables = {name: list(map(tuple, table.tolist())) for name, table in costs.items()}
    links = {b.name: Link() for b in boundaries}
    links[boundaries[0].name] = Link(source=Gate(source_pauses))
    read = {name for element in elements for name in element.ins}
    sinks = [b.name for b in boundaries if b.name not in read]
    each = np.asarray(sink_pauses, bool)
    if each.ndim == 1:
        each = np.broadcast_to(each, (len(sinks), len(each)))
    links |= {name: Link(sink=Gate(pauses)) for name, pauses in zip(sinks, each, strict=True)}
    laws = [e.spec.law([links[n] for n in e.ins], [links[n] for n in e.outs], tables.get(e.name)) for e in elements]
    processes = [SourceLaw(words, links[boundaries[0].name]), *laws, *(SinkLaw(links[name]) for name in sinks)]
    moved = words * sum(b.words_per_frame for b in boundaries) // boundaries[0].words_per_frame
    if moved < LARGE or not solved(processes):
        solve(processes)
    return Timing(
        {b.name: np.array(links[b.name].taken, np.int64) for b in boundaries},
        {e.name: law for e, law in zip(elements, laws, strict=True) if isinstance(law, WindowLaw)},
        whole=all(len(links[b.name].taken) * boundaries[0].words_per_frame == words * b.words_per_frame
                  for b in boundaries),
    )
