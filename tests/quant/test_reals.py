"""An integer network trained further: to real weights and back to the same integers, logits with a scale, recipes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from own_model import Own, look_trained
from patterns import patterns
from torch import nn

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import integer_network
from spikeloom.quant.conversion.reals import keep_grid, keep_membranes, layers_of, scale_logits
from spikeloom.quant.data import Dataset
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Gain, Input, NetworkError, Synapse
from spikeloom.quant.methods.dual_phase.recipe import Calibration, DualPhaseEpochs, DualPhaseRates
from spikeloom.quant.methods.fast_snn.recipe import Tuning
from spikeloom.quant.methods.qcfs.algorithm import QCFS, prepare
from spikeloom.quant.qat.integer_graph import IntegerGraph
from spikeloom.quant.qat.stage import QuantisedLayer
from spikeloom.quant.recipe import DualPhaseRecipe, Epochs, FastSnnRecipe, QcfsRecipe, RecipeError
from spikeloom.quant.training.train import Trained, train

SHAPE = (2, 8, 8)
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 16, (60, *SHAPE)))
BITS = {"input_high": 15, "weight_bits": 4, "first_bits": 8, "last_bits": 8}


def graph_of(model: Any, steps: int = 4, **settings: Any) -> IntegerGraph:
    return IntegerGraph(model, steps=steps, shape=SHAPE, **{**BITS, **settings}).eval()


def own(seed: int = 0) -> Network:
    """The user's own network with random thresholds that differ from layer to layer."""
    torch.manual_seed(seed)
    model = prepare(look_trained(Own(SHAPE, 5)), 4)
    for module in model.modules():
        if isinstance(module, QCFS):
            module.log_threshold.data.uniform_(-0.5, 1.0)
    return integer_network(graph_of(model), shape=SHAPE)


@pytest.mark.parametrize("seed", range(3))
def test_the_integers_come_back(seed: int) -> None:
    """Weights of identity and projected blocks, of pools and linear layers, biases, thresholds; and gains, within what
    their own rounding and that of the threshold can move them by."""
    network = own(seed)
    again = integer_network(graph_of(layers_of(network)), shape=SHAPE)
    assert [type(n) for n in network] == [type(n) for n in again] and any(isinstance(n, Add) for n in network)
    for old, new in zip(network, again, strict=True):
        if isinstance(old, Gain):
            assert isinstance(new, Gain)
            (threshold,) = (n.threshold for n in network if isinstance(n, IF) and n.source == "add")
            assert (np.abs(old.gain - new.gain) <= 1 + old.gain / threshold).all() and old.gain.min() > 3
        elif isinstance(old, Synapse | IF | Input):
            assert old == new, old.name


def test_the_integers_of_uneven_windows_come_back() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, (3, 2), stride=(1, 2), padding=(1, 0), dilation=(2, 1)), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.MaxPool2d((2, 1), stride=1, padding=(1, 0)), nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(4, 4, 3), nn.ReLU()),
        *(nn.AvgPool2d(3, 2, 1), nn.Flatten(), nn.LazyLinear(5)),
    )
    shape = (1, 12, 12)
    model(torch.rand(2, *shape))
    settings = {"input_high": 255, "steps": 4, "weight_bits": 4, "rule": "lossless", "shape": shape}
    network = integer_network(IntegerGraph(prepare(look_trained(model), 4, shape=shape), **settings), shape=shape)
    again = integer_network(IntegerGraph(layers_of(network), **settings), shape=shape)
    assert network.hash == again.hash
    windows = {type(node).__name__: getattr(node, "padding", 0) for node in network}
    assert windows["Conv2d"] == (2, 0, 0, 1) and windows["MaxPool"] == (1, 0) and windows["SumPool"] == 1


def test_a_last_layer_of_another_scale_gives_the_same_answers_and_the_least_loss() -> None:
    network = own()
    graph = graph_of(layers_of(network))
    before = graph(PIXELS).detach()
    labels = before.argmax(1)
    labels[::3] = 0  # not all right, so that the scale is finite
    factor = scale_logits(graph, PIXELS, labels)
    after = graph(PIXELS).detach()
    assert torch.allclose(after, before * factor, rtol=1e-4) and factor != 1
    losses = [F.cross_entropy(before * factor * k, labels).item() for k in (0.8, 1.0, 1.25)]
    assert losses[1] == min(losses)
    assert integer_network(graph, shape=SHAPE).hash == integer_network(graph_of(layers_of(network)), shape=SHAPE).hash


def test_more_time_steps_and_other_rules() -> None:
    """A spike is worth the same however many there may be: with 32 steps the rates are those of any rule."""
    network = own()
    rates = [graph_of(layers_of(network), 32, rule=rule)(PIXELS).detach() for rule in ("lossless", "causal")]
    assert torch.corrcoef(torch.stack([r.flatten() for r in rates]))[0, 1] > 0.97
    assert (rates[0].argmax(1) == rates[1].argmax(1)).float().mean() > 0.85


def test_what_cannot_be_trained_further_is_named() -> None:
    network = own()
    nodes = [replace(n, gain=n.gain - n.gain.max()) if isinstance(n, Gain) else n for n in network]
    name = next(n.name for n in nodes if isinstance(n, Gain))
    with pytest.raises(NetworkError, match=rf"{name}: a gain of -\d+ cannot be trained further; supported: gains"):
        layers_of(Network(tuple(nodes), 4))
    values = netfile.load(Path(__file__).parents[2] / "models" / "mnist-integernet-w4a4.safetensors")
    with pytest.raises(NetworkError, match=r": a Requant cannot be trained further; supported: Input, .*, IF, "):
        layers_of(values)
    graph = graph_of(layers_of(network))
    with pytest.raises(NetworkError, match=r"left: weights of \+-5 are not of the grid; supported: 0, 1, 2"):
        keep_grid(graph, network, (0, 1, 2, 3, 4, 6, 8, 10))


SHORT = QcfsRecipe(
    data="digits",
    model="cnn",
    model_args={"channels": [4, 8]},
    steps=2,
    weight_bits=4,
    rule="lossless",
    batch=50,
    epochs=Epochs(float=6, qcfs=4, integers=1),
)


def test_a_recipe_goes_on_from_a_network(tmp_path: Path) -> None:
    """From two lossless steps, learned by nobody, to four causal ones: the integers are what is trained further."""
    file, data, unlearned = tmp_path / "a.safetensors", patterns(), Epochs(float=0, qcfs=0, integers=0)
    first = train(replace(SHORT, epochs=unlearned), data=data)
    netfile.save(first.network, file)
    rates = replace(SHORT.rates, integers=0.01)
    further = replace(SHORT, tune=str(file), rule="causal", steps=4, rates=rates, epochs=replace(unlearned, integers=6))
    trained = train(further, data=data)
    found = trained.report.accuracy
    assert list(found) == ["causal"] and list(trained.networks) == ["causal"]
    none = train(replace(further, epochs=unlearned), data=data)
    weights = [[n.weight for n in t.network if isinstance(n, Synapse)] for t in (first, none, trained)]
    same = [[np.array_equal(a, b) for a, b in zip(weights[0], other, strict=True)] for other in weights[1:]]
    assert all(same[0]) and not all(same[1]), "a start from the integers, not from new weights"
    assert found["causal"] > 0.9 and none.report.accuracy["causal"] < 0.5
    assert trained.network.steps == 4 and golden.accuracy(trained.network, data.test_x, data.test_y) == found["causal"]


def test_fast_snn_goes_on_with_the_weights_it_allows(tmp_path: Path) -> None:
    """T = 3, spikes of both signs, weights that are sums of two powers of two before and after."""
    file = tmp_path / "a.safetensors"
    recipe = FastSnnRecipe(
        data="digits", model="resnet", model_args={"depth": 8, "width": 4}, batch=50, bits=[2], weight_bits=[4],
        epochs=[1], rates=[0.05], float_epochs=1, signed_rate=0.01, tuning=Tuning(images=100, held_out=200),
    )  # fmt: skip
    first = train(recipe, data=patterns())
    netfile.save(first.network, file)
    further = replace(recipe, tune=str(file), epochs=[0], float_epochs=0, signed_epochs=6, optimiser="adamw")
    trained = train(further, data=patterns())
    found = trained.report.accuracy
    assert list(found) == ["signed"] and found["signed"] > 0.9
    assert {node.rule for node in trained.network if isinstance(node, IF)} == {"signed"} and trained.network.steps == 3
    hidden = [node for node in trained.network if isinstance(node, Conv2d)][1:]
    assert all(set(np.abs(node.weight).flat) <= {0, 1, 2, 3, 4, 6, 8, 10} for node in hidden)
    assert any(node != first.network[node.name] for node in hidden)
    with pytest.raises(RecipeError, match="tune must be with signed_epochs alone"):
        replace(further, float_epochs=1)


def answered(network: Network) -> Dataset:
    """Random images, 200 and 100, and what ``network`` says of them, so that it is right by construction."""
    x = np.random.default_rng(0).integers(0, 16, (300, 2, 4, 4), np.uint8).repeat(2, 2).repeat(2, 3)
    y = golden.run(network, x).classes.astype(np.int64)
    y[-1] = 4  # the last of the classes, of which there must be one
    return Dataset("answered", x[:200], y[:200], x[200:], y[200:], 15)


def test_dual_phase_goes_on_with_calibrated_membranes(tmp_path: Path) -> None:
    """Phase II for a network of lossless steps, and epochs in which its initial membranes move as well.

    Steps as they come answer as it does half of the time, and with calibrated membranes nine times in ten.
    """
    network, file = own(7), tmp_path / "a.safetensors"
    data = answered(network)
    netfile.save(network, file)
    recipe = DualPhaseRecipe(
        data="digits", model="cnn", batch=50, steps=4, weight_bits=4, first_bits=8, last_bits=8, rule="causal",
        tune=str(file), optimiser="adamw", epochs=DualPhaseEpochs(clip=0, noisy=0),
        rates=DualPhaseRates(integers=1e-2), calibration=Calibration(images=100, held_out=100, epochs=2),
    )  # fmt: skip

    def trained(checkpoint: Path | None = None, **changes: Any) -> Trained:
        epochs = replace(recipe.epochs, integers=changes.pop("integers"))
        return train(replace(recipe, epochs=epochs, **changes), data=data, checkpoint=checkpoint)

    checkpoint = tmp_path / "c.ckpt"
    calibrated, more = trained(integers=0), trained(checkpoint, integers=4)
    found = more.report.accuracy
    assert list(found) == ["not calibrated", "calibrated", "causal"] and list(more.networks) == ["causal"]
    assert found["calibrated"] == calibrated.report.accuracy["causal"] > found["not calibrated"] + 0.2
    before, after = ([n.v0 for n in t.network if isinstance(n, IF)] for t in (calibrated, more))
    assert all(a.ndim == 3 or a.shape == b.shape == (16,) for a, b in zip(before, after, strict=True))
    assert all((a != b).any() for a, b in zip(before, after, strict=True)), "membranes move as well"
    assert trained(checkpoint, integers=4).network.hash == more.network.hash, "what is continued is the same"
    netfile.save(calibrated.network, other := tmp_path / "b.safetensors")
    further = trained(tune=str(other), integers=1).report.accuracy
    assert list(further) == ["calibrated", "causal"] and further["calibrated"] == found["calibrated"], "not once more"
    timed = trained(integers=4, through_time=True)
    assert timed.network.hash != more.network.hash
    assert timed.report.accuracy["calibrated"] == found["calibrated"], "the gradient is for the epochs alone"
    for change, message in (
        ({"rule": "lossless"}, "tune must be left out with rule 'lossless'"),
        ({"epochs": DualPhaseEpochs(clip=1, noisy=0)}, "epochs must be 0 for clip and noisy with tune"),
        ({"tune": "", "through_time": True}, "through_time must be left out without tune"),
    ):
        with pytest.raises(RecipeError, match=message):
            replace(recipe, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tune": "none.safetensors"}, r"Recipe: tune: none\.safetensors: no such file"),
        ({"epochs": Epochs(float=1, qcfs=0, integers=1)}, "Recipe: epochs must be 0 for float and qcfs with tune"),
        ({"tune": "OTHER"}, r"Recipe: tune: .*: takes \(2, 8, 8\) pixels 0\.\.15, but digits has \(1, 8, 8\), 0\.\.15"),
    ],
)
def test_recipes_that_cannot_go_on(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    if change.get("tune") == "OTHER":
        netfile.save(own(), tmp_path / "other.safetensors")
        change = {"tune": str(tmp_path / "other.safetensors")}
    settings = {"tune": "x.safetensors", "epochs": Epochs(float=0, qcfs=0, integers=1), **change}
    with pytest.raises(RecipeError, match=message):
        train(replace(SHORT, **settings))


@pytest.mark.parametrize("strict", [False, True])
def test_initial_membranes_come_back(strict: bool) -> None:
    """Of each neuron, and of each channel; half a threshold is left as it is."""
    torch.manual_seed(0)
    network = own()
    graph = graph_of(layers_of(network), rule="causal", strict=strict)
    for k, name in enumerate(n.name for n in network if isinstance(n, IF)):
        (stage,) = (s for s in graph.stages if isinstance(s, QuantisedLayer) and s.name == name)
        shape = network.signals[name].shape
        stage.charge = torch.nn.Parameter(torch.rand(shape if k % 2 else shape[:1]) - 0.5) if k < 3 else None
    network = integer_network(graph, shape=SHAPE)
    again = graph_of(layers_of(network), rule="causal", strict=strict)
    keep_membranes(again, network)
    found = integer_network(again, shape=SHAPE)
    pairs = [(a.v0, b.v0) for a, b in zip(network, found, strict=True) if isinstance(a, IF) and isinstance(b, IF)]
    assert [a.ndim for a, _ in pairs][:3] == [1, 3, 1] and all(np.array_equal(a, b) for a, b in pairs)
    assert [s.charge is None for s in again.stages if isinstance(s, QuantisedLayer)][:4] == [False, False, False, True]
