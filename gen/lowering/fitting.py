"""What fits: divisors, folds that divide, the row slots of a window."""

from __future__ import annotations

from collections.abc import Sequence

from ...hdl.cores.window.geometry import WindowGeometry
from ...quant.ir.rules import RULES
from ..errors import PlanError
from ..folding.fold import Fold
from .layers import StageNodes

__all__ = ["divisors", "numbers", "refuse_undivided", "refuse_weights", "ring_rows"]


def divisors(n: int) -> list[int]:
    """The divisors of ``n``, ascending."""
    return [k for k in range(1, n + 1) if n % k == 0]


def numbers(values: Sequence[int]) -> str:
    """``values`` as a message lists them."""
    return ", ".join(map(str, values))


def refuse_undivided(
    layer: StageNodes, fold: Fold, more_inputs: Sequence[int] = (), more_outputs: Sequence[int] = ()
) -> None:
    """Raise PlanError where ``fold`` does not divide the channels and the time steps of ``layer``; ``more_inputs`` and
    ``more_outputs`` are allowed beside the divisors."""
    (outputs, inputs), steps = layer.channels, layer.time_fold
    for what, value, whole, more in (
        ("outputs", fold.outputs, outputs, more_outputs),
        ("inputs", fold.inputs, inputs, more_inputs),
        ("steps", fold.steps, steps, ()),
    ):
        if value not in more and (value < 1 or whole % value):
            reason = "" if what != "steps" or steps > 1 else f" (only {_folding()} neurons on spikes fold time)"
            raise PlanError(
                f"{layer.name}: fold {what}={value} does not divide {whole}{reason}; "
                f"choose one of {numbers([*divisors(whole), *more])}"
            )


def refuse_weights(layer: StageNodes, fold: Fold, what: str, channels: str, words: str) -> None:
    """Raise PlanError where ``fold`` does not divide ``layer``, which has no weights, or asks for what is a matter of
    weights; messages say ``what`` it is, and what it does with its ``channels`` and its ``words``."""
    refuse_undivided(layer, fold)
    if fold.outputs != fold.inputs:
        raise PlanError(
            f"{layer.name}: {what} {channels}, so outputs={fold.outputs} must equal inputs={fold.inputs}"
        )
    if fold.skip:
        raise PlanError(f"{layer.name}: fold skip=true does not fit, {what} {words}; leave skip out")
    for flag in ("multiply", "packed"):
        if getattr(fold, flag):
            raise PlanError(f"{layer.name}: fold {flag}=true does not fit, {what} has no weights; leave {flag} out")
    if fold.pixels > 1:
        raise PlanError(
            f"{layer.name}: fold pixels={fold.pixels} does not fit, {what} has no weights that pixels could share; "
            "choose more outputs and inputs, and leave pixels out"
        )


def _folding() -> str:
    """The rules whose time steps fold, as a message lists them."""
    *first, last = [name for name, rule in RULES.items() if rule.folds]
    return f"{', '.join(first)} and {last}" if first else last


def ring_rows(window: WindowGeometry) -> int:
    """Row slots of a window: those needed and one stride more, so that rows come in while others are read; or twice
    those needed, so that the next frame's first rows never wait: where that still fits a block RAM, or where the wait
    would be more than a fiftieth of the window's cycles. Where whole kernel columns are read, every further row widens
    the multiplexer that lines the rows up, so that only the wait counts."""
    lean, doubled = window.rows_needed + window.stride[0], 2 * window.rows_needed
    wait = (doubled - lean) * window.row_words
    fits = not window.columns and doubled * window.row_words * window.i_format.width <= 16384
    return max(lean, doubled) if fits or 50 * wait > window.cycles else lean
