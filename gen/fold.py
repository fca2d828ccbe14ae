"""The search for folds: for every stage the smallest one that meets a cycle target."""

from __future__ import annotations

from ..hdl.stage import StageSpec
from ..quant.network import Network
from .cost import estimate
from .layers import Layer, PlanError, layers
from .plan import Fold, build_stage, fold_choices

__all__ = ["auto", "with_given"]


DEFAULT_AREA = 8_000
"""LUT4-equivalents for a design without a cycle target: about an iCE40HX8K, a third of an LFE5U-25F."""


def _candidates(layer: Layer) -> list[tuple[int, int, Fold]]:
    """(cycles, area, fold) of every fold that can be built, the smallest area first."""
    found = []
    for fold in fold_choices(layer):
        try:
            stage = build_stage(layer, fold)
        except PlanError:
            continue
        found.append((_cycles(stage), estimate(stage), fold))
    return sorted(found, key=lambda c: (c[1], c[0]))


def _cycles(stage: StageSpec) -> int:
    """Cycles a frame that the stage needs at least: its own walk, and its words in and out."""
    return max(stage.cycles, stage.window.i_words, stage.window.results)


def auto(network: Network, cycles: int | None = None) -> dict[str, Fold]:
    """Folds for one frame every ``cycles`` cycles at the least area; without a target the least area x cycles of those
    that fit :data:`DEFAULT_AREA` (the smallest where none does).

    Raises PlanError naming the stage that cannot meet the target, and its best.
    """
    tables = {layer.name: _candidates(layer) for layer in layers(network)}
    if cycles is not None:
        for name, table in tables.items():
            if (best := min(c for c, _, _ in table)) > cycles:
                raise PlanError(
                    f"{name}: needs at least {best} cycles a frame, more than the target of {cycles}; "
                    f"choose a target of {best} or more"
                )
        return _for_target(tables, cycles)
    targets = sorted({c for table in tables.values() for c, _, _ in table})
    slowest = max(min(c for c, _, _ in table) for table in tables.values())
    areas = {t: _area(tables, t) for t in targets if t >= slowest}
    fitting = [t for t, area in areas.items() if area <= DEFAULT_AREA] or [min(areas, key=lambda t: areas[t])]
    return _for_target(tables, min(fitting, key=lambda t: t * areas[t]))


def _for_target(tables: dict[str, list[tuple[int, int, Fold]]], cycles: int) -> dict[str, Fold]:
    return {name: next(fold for c, _, fold in table if c <= cycles) for name, table in tables.items()}


def _area(tables: dict[str, list[tuple[int, int, Fold]]], cycles: int) -> int:
    return sum(next(area for c, area, _ in table if c <= cycles) for table in tables.values())


def with_given(network: Network, given: dict[str, Fold], cycles: int | None = None) -> dict[str, Fold]:
    """``given`` folds, completed by :func:`auto` for the stages without one."""
    names = {layer.name for layer in layers(network)}
    if unknown := sorted(set(given) - names):
        raise PlanError(f"{unknown[0]}: no such stage; the stages are {', '.join(sorted(names))}")
    return given if names == set(given) else auto(network, cycles) | given
