"""The folds of a layer as the search sees them: cycles, area, and the widths of the words on either side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from ...hdl.cores.merge.spec import MergeSpec
from ...hdl.cores.synapse.spec import SynapseSpec
from ...hdl.streams.stage import StageSpec
from ...hdl.streams.words import WordFormat
from ..cost.model import area, total
from ..errors import PlanError
from ..lowering.layers import StageNodes
from ..lowering.plan import build_stage, chunk_of, fold_choices, multiplies, walk_of
from ..targets.fpga.devices import RESOURCES, resources
from .fold import Fold
from .pareto import undominated
from .rates import WordRates

__all__ = ["Candidate", "CandidateTable", "needed_cycles"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fold that can be built.

    Attributes: ``fold``; ``cycles``, a frame at least; ``walk``, its own without the words in and out; ``area``, LUTs,
    flip-flops and block RAMs without shortcuts; ``merges``, its shortcuts; ``i_lanes`` and ``o_format``, of its input
    and output words.
    """

    fold: Fold
    cycles: int
    walk: int
    area: np.ndarray
    merges: tuple[MergeSpec, ...]
    i_lanes: int
    o_format: WordFormat


def needed_cycles(stage: StageSpec, rates: WordRates | None = None) -> int:
    """Cycles a frame that a stage needs at least: its own walk, and its words in and out."""
    return max(walk_cycles(stage, rates), stage.window.i_words, stage.window.results * stage.result_words)


def walk_cycles(stage: StageSpec, rates: WordRates | None = None) -> int:
    """Cycles a frame of a stage's own walk; of a stage that skips words the mean over the frames of ``rates``."""
    return ceil(rates.cycles(stage)) if rates is not None and stage.window.chunk else stage.cycles


class CandidateTable:
    """All folds of a layer that can be built.

    Parameters: ``folds``, by default all; ``logic``: each also with its weights in LUTs, where they would be in block
    RAM, and packed, where that saves block RAMs; ``rates``: each also with all-zero words skipped, where that can be
    built, at its mean cycles; ``dsp``, multipliers that there are: each also with its products made by them, where that
    can be built; ``most``: folds that walk longer are left out.
    Attributes: ``layer``; ``candidates``. Raises PlanError where there is none.
    """

    def __init__(
        self,
        layer: StageNodes,
        folds: Sequence[Fold] | None = None,
        *,
        logic: bool = False,
        rates: WordRates | None = None,
        dsp: int = 0,
        most: int | None = None,
    ) -> None:
        self.layer = layer
        self.candidates: list[Candidate] = []
        reason = None
        # With the stage, and the area of what of it is known already.
        choices: list[tuple[Fold, StageSpec | None, np.ndarray | None]] = [
            (fold, None, None)
            for fold in (fold_choices(layer) if folds is None else folds)
            if most is None or walk_of(layer, fold) <= most
        ]
        for fold, stage, others in choices:
            try:
                stage = stage or build_stage(layer, fold)
            except PlanError as error:
                reason = error
                continue
            free = folds is None and not (fold.logic or fold.packed)
            if free and rates is not None and not fold.skip and chunk_of(layer, fold.inputs) > 1:
                choices.append((replace(fold, skip=True), None, None))
            synapse = stage.cores[0]
            if isinstance(synapse, SynapseSpec) and synapse.multipliers > dsp and folds is None:
                continue
            if free and dsp and not (fold.skip or fold.multiply) and multiplies(layer, fold):
                choices.append((replace(fold, multiply=True), None, None))
            merges = tuple(stage.merges)
            bare = replace(stage, cores=tuple(core for core in stage.cores if core not in merges))
            whole = resources(area(bare)) if others is None else others + resources(area(synapse))
            if logic and free and isinstance(synapse, SynapseSpec) and synapse.in_block_ram:
                others = whole - resources(area(synapse))
                choices.append((replace(fold, logic=True), _keeping(stage, logic=True), others))
                if not synapse.not_packed:
                    choices.append((replace(fold, packed=True), _keeping(stage, packs=True), others))
            self.candidates.append(
                Candidate(
                    fold,
                    needed_cycles(stage, rates),
                    walk_cycles(stage, rates),
                    whole,
                    merges,
                    stage.i_format.lanes,
                    stage.o_format,
                )
            )
        if not self.candidates:
            raise reason or PlanError(f"{layer.name}: no fold can be built")

    @property
    def fastest(self) -> int:
        """The least cycles of any fold."""
        return min(candidate.cycles for candidate in self.candidates)

    def hurry(self, walk: int) -> bool:
        """Leave out the candidates whose walk takes ``walk`` cycles or more, but not the fastest of them. Whether that
        leaves out any."""
        below = max(walk - 1, min(candidate.walk for candidate in self.candidates))
        faster = [candidate for candidate in self.candidates if candidate.walk <= below]
        less = len(faster) < len(self.candidates)
        self.candidates = faster
        return less

    def priced(self, occupancy: Sequence[float]) -> tuple[list[Candidate], np.ndarray]:
        """The candidates that none of the same widths beats in cycles and in every resource, by ascending cycles, with
        their areas (n, 4); ``occupancy``: pixels that wait in the FIFO of each shortcut."""
        areas = np.array([candidate.area + _shortcuts(candidate.merges, occupancy) for candidate in self.candidates])
        points = np.column_stack([[candidate.cycles for candidate in self.candidates], areas])
        widths = [(candidate.i_lanes, candidate.o_format.lanes) for candidate in self.candidates]
        groups = np.array([widths.index(pair) for pair in widths])
        order = np.lexsort(points.T[::-1])
        kept = order[undominated(points[order], groups[order])]
        return [self.candidates[k] for k in kept], areas[kept]


def _keeping(stage: StageSpec, **how: bool) -> StageSpec:
    """``stage`` with its weights in LUTs (``logic``) or packed (``packs``): nothing else of it depends on that."""
    array, *others = stage.cores
    assert isinstance(array, SynapseSpec)
    return replace(stage, cores=(replace(array, **how), *others))


def merge_depth(merge: MergeSpec, lag: float) -> int:
    """Words of a shortcut's FIFO in which ``lag`` pixels wait."""
    return merge.holding(ceil(lag * merge.words))


def _shortcuts(merges: Sequence[MergeSpec], occupancy: Sequence[float]) -> np.ndarray:
    if not merges:
        return np.zeros(len(RESOURCES))
    deep = [replace(merge, depth=merge_depth(merge, lag)) for merge, lag in zip(merges, occupancy, strict=True)]
    return resources(total(area(merge) for merge in deep))
