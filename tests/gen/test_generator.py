"""Plan, fold search, cycle law of designs, and emitted files."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from spikeloom.gen.cost.model import area, total
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import auto, with_given
from spikeloom.gen.folding.fold import Fold, read_folds
from spikeloom.gen.lowering.layers import StageNodes, layers
from spikeloom.gen.lowering.plan import build_stage, fold_choices
from spikeloom.gen.targets.fpga.devices import resources
from spikeloom.quant.files.replacing import replacing
from spikeloom.quant.ir.netfile import load
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, MaxPool, Readout, SumPool

RNG = np.random.default_rng(0)


def network(rule: str = "causal", channels: int = 4) -> Network:
    def fire(name: str, source: str, n: int) -> IF:
        return IF(name=name, source=source, threshold=np.full(n, 9), bias=np.zeros(n, int), v0=np.full(n, 4), rule=rule)

    return Network(
        (
            Input(name="input", shape=(1, 8, 8), high=15),
            Conv2d(
                name="conv1", source="input", weight=RNG.integers(-7, 8, (channels, 1, 3, 3)), weight_bits=4, padding=1
            ),
            fire("if1", "conv1", channels),
            SumPool(name="pool", source="if1", kernel=2, stride=2),
            Conv2d(name="conv2", source="pool", weight=RNG.integers(-7, 8, (6, channels, 3, 3)), weight_bits=4),
            fire("if2", "conv2", 6),
            Flatten(name="flat", source="if2"),
            Linear(name="fc", source="flat", weight=RNG.integers(-7, 8, (10, 24)), weight_bits=4),
            Readout(name="out", source="fc", bias=np.arange(10)),
        ),
        steps=4,
    )


def test_stages_of_a_network() -> None:
    stages = layers(network())
    assert [layer.name for layer in stages] == ["conv1", "pool", "conv2", "fc"]
    assert [layer.channels for layer in stages] == [(4, 1), (4, 4), (6, 4), (10, 24)]
    assert [layer.time_fold for layer in stages] == [1, 1, 4, 1]
    order = stages[3].order
    assert order is not None and order[:7].tolist() == [0, 4, 8, 12, 16, 20, 1], "stream order is pixel by pixel"


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"conv2": Fold(7, 4, 4)}, r"conv2: fold outputs=7 does not divide 6; choose one of 1, 2, 3, 6"),
        ({"conv2": Fold(4, 4, 1)}, r"does not divide 6, and then membranes cannot wait .* steps=1; choose steps=4, or"),
        ({"conv2": Fold(4, 4, 4, skip=True)}, r"does not divide 6, and then no word is skipped; leave skip out, or"),
        ({"fc": Fold(4, 1, 1)}, r"fc: fold outputs=4 does not divide 10; choose one of 1, 2, 5, 10"),
        ({"conv2": Fold(2, 4, 4, multiply=True)}, r"conv2: fold multiply=true does not fit, its inputs are spikes"),
        ({"conv1": Fold(4, 3, 1, skip=True, multiply=True)}, r"multiply=true does not fit, words are skipped"),
        ({"conv2": Fold(2, 4, 4, packed=True)}, r"conv2: fold packed=true does not fit, that saves no block RAM; lea"),
        ({"conv1": Fold(4, 3, 1, multiply=True, packed=True)}, r"conv1: fold packed=true does not fit, that saves no"),
        ({"conv2": Fold(2, 4, 2, packed=True)}, r"packed=true does not fit, rows are read again for each group of ti"),
        ({"conv2": Fold(2, 4, 4, logic=True, packed=True)}, r"packed=true does not fit, its weights are in LUTs"),
        ({"conv1": Fold(4, 3, 1, skip=True, packed=True)}, r"packed=true does not fit, words are skipped, and rows ar"),
        ({"pool": Fold(4, 4, 1, packed=True)}, r"pool: fold packed=true does not fit, a pool has no weights; leave pa"),
        ({"conv2": Fold(6, 5, 4)}, r"conv2: fold inputs=5 does not divide 4; choose one of 1, 2, 4"),
        ({"conv2": Fold(6, 4, 3)}, r"conv2: fold steps=3 does not divide 4; choose one of 1, 2, 4"),
        (
            {"conv1": Fold(4, 1, 2)},
            r"conv1: fold steps=2 does not divide 1 \(only causal and signed neurons on spikes fold time\)",
        ),
        ({"pool": Fold(2, 4, 1)}, r"pool: a pool takes and gives the same channels, so outputs=2 must equal inputs=4"),
        ({"conv9": Fold(1, 1, 1)}, r"conv9: no such stage; the stages are conv1, pool, conv2, fc"),
        ({"conv1": Fold(0, 1, 1)}, r"conv1: fold outputs=0 does not divide 4"),
    ],
)
def test_folds_that_do_not_fit(folds: dict[str, Fold], message: str) -> None:
    whole = auto(network(), 600)
    with pytest.raises(PlanError, match=message):
        Design(network(), whole | folds)


def test_a_fold_is_missing() -> None:
    with pytest.raises(PlanError, match="conv2: no fold is given for this stage"):
        Design(network(), {k: v for k, v in auto(network(), 600).items() if k != "conv2"})


def test_scans_faster_than_the_membrane_are_refused() -> None:
    nodes = list(network())
    nodes[4] = Conv2d(name="conv2", source="pool", weight=RNG.integers(-7, 8, (6, 4, 1, 1)), weight_bits=4)
    nodes[7] = Linear(name="fc", source="flat", weight=RNG.integers(-7, 8, (10, 96)), weight_bits=4)
    point = Network(tuple(nodes), 4)
    with pytest.raises(
        PlanError, match=r"conv2: fold steps=2 scans the window of 1 words again .* choose fewer inputs or more steps"
    ):
        build_stage(layers(point)[2], Fold(6, 4, 2))


def test_layers_without_hardware_are_named() -> None:
    nodes = list(network())
    flat = Network(
        (
            nodes[0],
            nodes[1],
            nodes[2],
            Flatten(name="flat", source="if1"),
            MaxPool(name="late", source="flat", kernel=1, stride=1),
            Linear(name="fc", source="late", weight=np.ones((10, 256), int), weight_bits=4),
            Readout(name="out", source="fc", bias=np.arange(10)),
        ),
        4,
    )
    with pytest.raises(
        PlanError, match="late: MaxPool behind a Flatten has no hardware; put the Flatten before the first Linear"
    ):
        layers(flat)


def fits(layer: StageNodes, fold: Fold) -> bool:
    try:
        build_stage(layer, fold)
    except PlanError:
        return False
    return True


def test_auto_without_a_target_has_the_least_area_times_cycles() -> None:
    def product_of(folds: dict[str, Fold]) -> float:
        design = Design(network(), folds)
        luts = resources(total(area(element.spec) for element in design.elements))[0]
        return luts * max(max(s.cycles, s.window.i_words, s.window.results) for s in design.stages)

    best = product_of(auto(network()))
    tables = [[fold for fold in fold_choices(layer) if fits(layer, fold)] for layer in layers(network())]
    rng = np.random.default_rng(1)
    for _ in range(150):  # none of many others is better
        folds = {
            layer.name: table[rng.integers(len(table))] for layer, table in zip(layers(network()), tables, strict=True)
        }
        assert product_of(folds) >= best * (1 - 1e-9)


def test_a_target_out_of_reach_names_the_stage() -> None:
    with pytest.raises(PlanError, match=r"conv1: needs at least 96 cycles a frame, more than the target of 50"):
        auto(network(), 50)


def test_given_folds_are_completed(tmp_path: Path) -> None:
    (tmp_path / "fold.toml").write_text("[conv2]\noutputs = 3\ninputs = 2\nsteps = 2\n")
    folds = with_given(network(), read_folds(tmp_path / "fold.toml"), 2000)
    assert folds["conv2"] == Fold(3, 2, 2) and set(folds) == {"conv1", "pool", "conv2", "fc"}
    example = Path(__file__).parents[2] / "examples" / "digits_fold.toml"
    digits = load(Path(__file__).parents[2] / "models" / "digits-t4w4.safetensors")
    design = Design(digits, with_given(digits, read_folds(example)))
    assert [s.cycles for s in design.stages if s.name == "conv1"] == [64 * 3 * 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[features.0]\noutputs = 1\n", r'fold\.toml: \[features\.0\] must be written \["features\.0"\], for without'),
        ("[a.b.0]\noutputs = 1\n", r'\[a\.b\.0\] must be written \["a\.b\.0"\]'),
        ("[conv]\noutputs = 1\n[conv.0]\ninputs = 1\n", r'\[conv\.0\] must be written \["conv\.0"\]'),
        ("[a b]\noutputs = 1\n", r'not a readable fold file \(.*needs quotes: \["a b"\]'),
        ("[c]\noutput = 1\ninputs = 1\nsteps = 1\n", r"c: key 'output' is unknown \(is 'outputs' meant\?\); known"),
        ("[c]\noutputs = 1\ninputs = 1\n", r"c: key 'steps' is missing; needed are outputs, inputs, steps"),
        ("[c]\ninputs = 1\nsteps = 1\n", r"c: key 'outputs' is missing"),
        ("[c]\noutputs = true\ninputs = 1\nsteps = 1\n", r"c: outputs must be an integer of 1 or more, not True"),
        ("[c]\noutputs = 1.0\ninputs = 1\nsteps = 1\n", r"c: outputs must be an integer of 1 or more, not 1\.0"),
        ("[c]\noutputs = 0\ninputs = 1\nsteps = 1\n", r"c: outputs must be an integer of 1 or more, not 0"),
        ("[c]\noutputs = 1\ninputs = 1\nsteps = 1\nskip = 1\n", r"c: skip must be true or false, not 1"),
        ("c = 3\n", r"c must be a table of outputs, inputs, steps \(integers\), and perhaps skip, logic, multiply, pa"),
        ("[c", r"not a readable fold file"),
        ("x = " + "[" * 100_000, r"not a readable fold file \(its tables are too deep in each other\)"),
        ("x = 1" + "0" * 10_000, r"not a readable fold file \(Exceeds the limit"),
    ],
)  # fmt: skip
def test_what_a_fold_file_must_not_be(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "fold.toml").write_text(text)
    with pytest.raises(PlanError, match=message):
        read_folds(tmp_path / "fold.toml")


@pytest.mark.parametrize(("rule", "target"), list(product(["causal", "lossless"], [600, 2000])))
def test_the_slowest_stage_never_idles(rule: str, target: int) -> None:
    design = Design(network(rule), auto(network(rule), target))
    figures = emit.performance(design)
    assert figures["interval"] == max(s.cycles for s in design.stages)
    assert max(s["utilisation"] for s in figures["stages"].values()) == 1.0


def test_files_are_the_same_on_every_run(tmp_path: Path) -> None:
    fixed = network()
    design = Design(fixed, auto(fixed, 600))
    emit.write(design, tmp_path / "a")
    script = (
        "import sys; from spikeloom.gen.emit import writer as emit; d, _ = emit.read(sys.argv[1]); "
        "emit.write(d, sys.argv[2]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "a", tmp_path / "b"], check=True)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["design.json", "network.safetensors", "spikeloom_top.v", "spikeloom_top.vlt"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    contents = json.loads((tmp_path / "a" / "design.json").read_text())
    assert contents["network"]["hash"] == fixed.hash
    assert contents["predicted"]["interval_cycles"] == 432
    assert str(tmp_path) not in (tmp_path / "a" / "spikeloom_top.v").read_text()


def test_a_folder_that_is_no_design(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="not a generated design"):
        emit.read(tmp_path)
    fixed = network()
    emit.write(Design(fixed, auto(fixed, 600)), tmp_path)
    contents = json.loads((tmp_path / "design.json").read_text())
    (tmp_path / "design.json").write_text(json.dumps(contents | {"format": 9}))
    with pytest.raises(PlanError, match="format 9, this program reads format 1"):
        emit.read(tmp_path)
    (tmp_path / "design.json").write_text(json.dumps(contents | {"network": {"hash": "0"}}))
    with pytest.raises(PlanError, match=r"network\.safetensors is not the network of design\.json"):
        emit.read(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "file") as path:
        path.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "old"


def test_skipping_is_read_and_refused_where_it_makes_no_sense(tmp_path: Path) -> None:
    digits = load(Path(__file__).parents[2] / "models" / "digits-t4w4.safetensors")
    (tmp_path / "fold.toml").write_text("[conv2]\noutputs = 8\ninputs = 2\nsteps = 4\nskip = true\n")
    folds = with_given(digits, read_folds(tmp_path / "fold.toml"))
    assert folds["conv2"] == Fold(8, 2, 4, skip=True) and not folds["conv1"].skip
    (conv2,) = (s for s in Design(digits, folds).stages if s.name == "conv2")
    assert conv2.window.chunk == 4 and conv2.window.span == conv2.result_words == 8
    for name, fold, message in (
        ("pool1", Fold(2, 2, 1, skip=True), r"pool1: fold skip=true does not fit, a pool looks at every word; leave"),
        ("conv1", Fold(2, 1, 1, skip=True), r"conv1: fold skip=true does not fit, inputs=1 does not cut the 1 channel"),
        ("conv2", Fold(2, 8, 4, skip=True), r"choose inputs from 1, 2, 4, or leave skip out"),
        ("conv2", Fold(2, 24, 4, skip=True), r"choose inputs from 1, 2, 4, or leave skip out"),
    ):
        with pytest.raises(PlanError, match=message):
            Design(digits, folds | {name: fold})
