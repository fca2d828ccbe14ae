"""The committed networks, the standing workloads and some random designs: their emitted Verilog in every simulator."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from random_networks import designs

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.gen.folding.fold import read_folds
from spikeloom.quant import data, golden
from spikeloom.quant.data import Dataset
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.ops import IF
from spikeloom.quant.ir.workloads import from_workload, workload_frames
from spikeloom.sim.verify import verify

ROOT = Path(__file__).parents[2]
WORKLOADS = ROOT / "benchmarks" / "digits-w4a4.npz"
MODELS = {path: netfile.load(path) for path in sorted((ROOT / "models").glob("*.safetensors"))}


def of_data(name: str) -> list:
    """The committed networks that were trained on the data set ``name``, as parameters of a test."""
    return [pytest.param(path, id=path.stem) for path, network in MODELS.items() if network.meta["data"] == name]


QUICK = "mnist-qcfs-t4w4"
"""The committed network of real data that "make test" verifies; "make regress" does all."""


def test_every_committed_network_is_tested() -> None:
    assert MODELS and {network.meta["data"] for network in MODELS.values()} <= {"digits", "mnist", "fashion", "cifar10"}
    for path, network in MODELS.items():
        assert '"/' not in network.meta["recipe"] and ":/" not in network.meta["recipe"], path


@pytest.mark.slow
@pytest.mark.parametrize("path", of_data("digits"))
def test_committed_networks(path: Path, tmp_path: Path) -> None:
    network, digits = MODELS[path], data.load("digits")
    design = Design(network, auto(network, 2000))
    contents = emit.write(design, tmp_path)
    frames, labels = digits.test_x.reshape(-1, *network.input.shape), digits.test_y
    runs = [
        verify(design, contents, tmp_path, frames[:300]),
        verify(design, contents, tmp_path, frames[:300], pauses=0.3, seed=1),
        verify(design, contents, tmp_path, frames[:2], simulator="amaranth"),
        verify(design, contents, tmp_path, frames[:3], simulator="cocotb", pauses=0.3),
    ]
    for run in runs:
        assert run.passed, f"{run.simulator}: {run.differences[0]}"
    assert np.array_equal(runs[0].answers, golden.run(network, frames[:300]).classes)
    assert (golden.run(network, frames).classes == labels).mean() >= 0.97


@pytest.mark.parametrize("path", [
    pytest.param(*p.values, id=p.id, marks=[] if p.id == QUICK else [pytest.mark.slow])
    for p in of_data("mnist") + of_data("fashion")
])  # fmt: skip
def test_committed_networks_for_mnist_and_fashion(path: Path, real: Callable[[str], Dataset], tmp_path: Path) -> None:
    network = MODELS[path]
    images = real(network.meta["data"]).test_x[:20]
    design = Design(network, auto(network, 60_000))
    run = verify(design, emit.write(design, tmp_path), tmp_path, images)
    assert run.passed, str(run.differences[0])
    assert np.array_equal(run.answers, golden.run(network, images).classes)


def resnets() -> list:
    """The networks for CIFAR-10 with file names of folds, "" where these do not name all their stages (a network that
    was not trained has more of them, and many time steps). Folds that skip words are for neurons that are shared."""
    found = []
    for param in of_data("cifar10"):
        network = MODELS[param.values[0]]
        trained = json.loads(network.meta["recipe"])["method"] != "spiking_resnet"
        shared = {node.rule for node in network if isinstance(node, IF)} <= {"lossless"}
        for folds in ("cifar_resnet20_fold", "cifar_resnet20_skip_fold")[: 1 + shared] if trained else ("",):
            found.append(pytest.param(*param.values, folds, id=f"{param.id}-{folds or 'searched'}"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("path", "folds"), resnets())
def test_committed_networks_for_cifar10(
    path: Path, folds: str, real: Callable[[str], Dataset], tmp_path: Path
) -> None:
    """The ResNet-20 with the folds that fit an LFE5U-85F, dense and with words skipped, or with those of a search."""
    network, images = MODELS[path], real("cifar10").test_x[: 20 if folds else 3]
    design = Design(network, read_folds(ROOT / "examples" / f"{folds}.toml") if folds else auto(network, 1_000_000))
    run = verify(design, emit.write(design, tmp_path), tmp_path, images)
    assert run.passed, str(run.differences[0])
    assert np.array_equal(run.answers, golden.run(network, images).classes)


@pytest.mark.parametrize(
    ("key", "cycles"), [("mlp", 700), pytest.param("mlp", 64, marks=pytest.mark.slow), ("cnn", 600)]
)
def test_workloads(key: str, cycles: int, tmp_path: Path) -> None:
    network = from_workload(WORKLOADS, key)
    frames, _, expected = workload_frames(WORKLOADS, key)
    assert len(frames) == 397 and np.array_equal(golden.run(network, frames).logits, expected)
    design = Design(network, auto(network, cycles))
    outcome = verify(design, emit.write(design, tmp_path), tmp_path, frames)
    assert outcome.passed, str(outcome.differences[0])
    # What the last boundary carries are those logits.
    last = design.boundaries[-1]
    words = design.compute(frames)[last.name]
    assert np.array_equal(last.format.unpack(words).reshape(expected.shape), expected)


def test_random_designs_in_emitted_verilog(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    simulators = ["verilator", "cocotb-icarus"] if shutil.which("iverilog") else ["verilator"]
    count = 0

    @seed(11)
    @settings(
        max_examples=max(2, int(request.config.getoption("--cases")) // 30),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(designs())
    def run(design: Design) -> None:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        contents = emit.write(design, folder)
        frames = np.random.default_rng(count).integers(
            0, design.network.input.high + 1, (6, *design.network.input.shape)
        )
        for simulator in simulators:
            outcome = verify(design, contents, folder, frames, simulator=simulator, pauses=0.3, resets=((90, 1),))
            assert outcome.passed, f"{simulator}: {outcome.differences[0]}"

    run()
    assert count >= 2
