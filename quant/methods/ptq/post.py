"""Post-training quantisation as a conversion of any trained module."""

from __future__ import annotations

from ..conversion import ConversionError, Job, LayerLoss, Made
from .algorithm import quantise

__all__ = ["convert"]


def convert(job: Job) -> Made:
    """The network of ``job``, see ``quant.methods.conversion``: of values, or, with ``steps``, of lossless spikes."""
    options = dict(job.options)
    rule = options.pop("rule", "lossless")
    if "steps" in options and "bits" in options:
        raise ConversionError(
            "Method 'ptq' makes values of so many bits (--bits), or spikes of so many steps (--steps); leave out one: "
            "T steps have T + 1 levels"
        )
    if rule != "lossless" or "steps" not in options and "rule" in job.options:
        raise ConversionError(
            f"Method 'ptq' makes values, or, with steps, lossless neurons; the rule {rule!r} needs "
            f"{'steps (--steps)' if rule == 'lossless' else 'another method: spiking makes causal neurons'}"
        )
    found = quantise(
        job.layers,
        job.pixels,
        shape=job.shape,
        input_high=job.input_high,
        form="spikes" if "steps" in options else "values",
        mean=job.mean or None,
        std=job.std or None,
        progress=job.progress,
        meta=job.meta,
        **options,
    )
    layers = tuple(
        LayerLoss(e.name, e.integers_db, e.sources_db, e.quantised_db, e.clipped, e.dead) for e in found.layers
    )
    notes = tuple(
        f"{e.name}: pads with whole pixels in place of the mean of the images: {e.padding_db:.1f} dB signal to noise"
        for e in found.layers
        if e.padding_db is not None
    )
    if found.gained is False:
        without = (
            "reconstruction gained nothing on the images given, so the network is the one without it; it is for few "
            "levels (--bits, --steps) and several hundred images"
        )
        notes = (*notes, without)
    return Made(found.network, layers, notes)
