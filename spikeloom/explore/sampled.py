"""Designs of low latency, sampled: the latency of a pipeline is no sum over its stages, so no exact search finds it.

Optuna's NSGA-II (Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", 2002) draws folds, the
cycle law says their exact latency, and the sampler goes on from those that none beats in latency, LUTs and block RAMs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..gen.design import Design
from ..gen.errors import PlanError
from ..gen.folding.fold import dump_folds
from ..gen.folding.pareto import undominated
from .figures import measured
from .work import space

__all__ = ["latency"]

POPULATION = 24
"""Designs of a generation."""


def latency(
    *,
    network: str,
    hash: str,
    counts: bool,
    logic: bool,
    luts: float | None,
    seeds: list[int],
    trials: int,
    seed: int,
) -> dict[str, Any]:
    """The designs that none of ``trials`` beats in latency, LUTs and block RAMs, of at most ``luts`` LUTs. The first
    are the smallest for each of ``seeds`` cycles. No word is taken for zero."""
    import optuna

    found = space(network, hash, counts, logic, None, 0)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(directions=["minimize"] * 3, sampler=sampler)
    names = [layer.name for layer in found.layers]
    for choices in _starts(found, seeds):
        study.enqueue_trial(dict(zip(names, choices, strict=True)))
    known: dict[tuple[int, ...], dict[str, Any]] = {}

    def objective(trial: Any) -> tuple[float, float, float]:
        chosen = tuple(trial.suggest_int(name, 0, size - 1) for name, size in zip(names, found.sizes, strict=True))
        cost = found.evaluate(np.array([chosen]))[1][0]
        if luts is not None and cost[0] > luts:
            raise optuna.TrialPruned
        if chosen not in known:
            folds = found.folds(np.array(chosen))
            try:
                known[chosen] = {"folds": dump_folds(folds), "figures": measured(Design(found.network, folds, counts))}
            except PlanError:
                raise optuna.TrialPruned from None
        figures = known[chosen]["figures"]
        return figures["latency"], figures["luts"], figures["ebr"]

    study.optimize(objective, n_trials=trials)
    made = [known[key] for key in sorted(known)]
    figures = np.array([[m["figures"][key] for key in ("latency", "luts", "ebr")] for m in made]).reshape(-1, 3)
    return {"points": [made[k] for k in undominated(figures)], "evaluated": len(made)}


def _starts(found: Any, seeds: list[int]) -> list[list[int]]:
    from ..gen.folding.least import smallest

    starts = [smallest(found.arcs, cycles) for cycles in seeds]
    return [start.choices for start in starts if start is not None]
