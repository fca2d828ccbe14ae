"""Folds of several pixels: fold files, credits of the stages, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from pixel_nets import Nets

from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.fold import Fold, folds_toml, read_folds
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.hdl.streams.law import Link, SinkLaw, SourceLaw, solve
from spikeloom.quant.ir.ops import MaxPool


def test_as_many_credits_as_the_latency_needs() -> None:
    """With one less a stage waits that is otherwise busy in every cycle; with more it is no faster."""
    nets = Nets((4, 6, 12), 1)
    nets.conv("conv")
    nets.quantise()
    nets.answer()
    (layer, _), most = layers(nets.done()), 0
    for fold in (Fold(4, 4, 1, pixels=4), Fold(2, 4, 1, pixels=3), Fold(4, 12, 1, pixels=3), Fold(1, 4, 1, pixels=2)):
        stage = build_stage(layer, fold)

        def ends(credits: int, stage=stage) -> list[int]:
            changed = replace(stage, window=replace(stage.window, credits=credits, rows=12))
            i, o = Link(), Link()
            solve([SourceLaw(4 * stage.window.i_words, i), changed.law((i,), (o,)), SinkLaw(o)])
            return o.taken

        credits = stage.window.credits
        assert ends(credits) == ends(credits + 5)
        assert ends(credits - 1)[-1] > ends(credits)[-1] if credits > 1 else fold == Fold(1, 4, 1, pixels=2)
        most = max(most, credits)
    assert most > 1


def test_fold_files_keep_the_pixels(tmp_path: Path) -> None:
    folds = {"ring": Fold(4, 4, 1, pixels=3), "columns": Fold(2, 12, 1, pixels=2), "last": Fold(1, 4, 1)}
    path = tmp_path / "folds.toml"
    path.write_text(folds_toml(folds))
    assert read_folds(path) == folds and "pixels = 3" in path.read_text()
    assert path.read_text().count("pixels") == 2  # the last one has none
    assert str(folds["ring"]) == "4 x 4 x 1, 3 pixels"


REFUSED = {
    "a pool": (
        "pool",
        Fold(2, 2, 1, pixels=2),
        "a pool has no weights that pixels could share; choose more outputs and inputs, and leave pixels out",
    ),
    "groups": (
        "grouped",
        Fold(1, 1, 1, pixels=2),
        "a grouped convolution walks a part of a pixel only; leave pixels out",
    ),
    "skip": (
        "conv",
        Fold(2, 2, 2, skip=True, pixels=2),
        "words of several pixels are hardly ever all zero, so none is skipped; leave pixels out, or skip",
    ),
    "folded time": (
        "conv",
        Fold(2, 2, 1, pixels=2),
        "the membranes of several pixels cannot wait for the next scan, steps=1; choose steps=2, or leave pixels out",
    ),
    "a short row": (
        "conv",
        Fold(2, 2, 2, pixels=4),
        "a row of the result has 3; choose at most 3, or leave pixels out",
    ),
    "a short walk": (
        "point",
        Fold(2, 2, 1, pixels=3),
        ("a walk of 2 words has no time to hand out the results of so many; choose at most 2, fewer inputs, or leave "
         "pixels out"),
    ),
    "a walk of one word": (
        "point",
        Fold(2, 4, 1, pixels=2),
        "a walk of one word has no time to hand out the results of so many; choose fewer inputs, or leave pixels out",
    ),
    "a vector": ("last", Fold(1, 1, 1, pixels=2), "a row of the result has 1; leave pixels out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_hardware_is_refused_by_name(case: str) -> None:
    nets = Nets((4, 6, 6), 2)
    nets.conv("point", kernel=1, padding=0)
    nets.fire()
    nets.nodes.append(MaxPool(name="pool", source=nets.end, kernel=2, stride=2))
    nets.conv("grouped", groups=2)
    nets.fire(9)
    nets.conv("conv")
    nets.fire(9, "causal")
    nets.answer()
    found = {layer.name: layer for layer in layers(nets.done())}
    name, fold, message = REFUSED[case]
    with pytest.raises(PlanError) as error:
        build_stage(found[name], fold)
    assert str(error.value) == f"{name}: fold pixels={fold.pixels} does not fit, {message}"
    build_stage(found["conv"], Fold(2, 2, 2, pixels=3))
