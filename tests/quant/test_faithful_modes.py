"""Conversion takes the network that runs, also where more than its layers decides what runs: hooks and options for all
code, training and evaluation, copies, and methods that go on with a prepared model.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from faithful_models import SHAPE, Net, changed, negated, net, switched
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrizations

from spikeloom import api
from spikeloom.quant.frontends.layers import Pool, UnsupportedLayer, Weights
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.ir.ops import NetworkError
from spikeloom.quant.methods.dual_phase import algorithm as dual_phase
from spikeloom.quant.methods.fast_snn import algorithm as fast_snn
from spikeloom.quant.methods.qcfs.algorithm import prepare
from spikeloom.quant.qat.weight_rounding import round_weights


def test_a_hook_of_all_modules() -> None:
    model = net()
    handle = register_module_forward_hook(lambda m, _, y: -y if isinstance(m, nn.Conv2d) else None)
    try:
        with pytest.raises(UnsupportedLayer, match=r"^conv: gives"):
            trace(model)
    finally:
        handle.remove()


def test_an_option_of_pytorch_for_all_code_changes_nothing() -> None:
    model = net()
    with torch.autocast("cpu", torch.bfloat16):
        layers = trace(model)
    pairs = [(a, b) for a, b in zip(layers, trace(model), strict=True) if isinstance(a, Weights)]
    assert len(pairs) == 2 and all(isinstance(b, Weights) and torch.equal(a.weight, b.weight) for a, b in pairs)


def test_autocast_within_a_forward_is_refused() -> None:
    """The rounding of its results, of 8 bits, would hide any other difference."""

    def forward(m: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return m.fc(m.relu(m.conv(x)).flatten(1))

    model = net(forward)
    model.register_forward_hook(lambda _m, _x, y: y.roll(1, 1))
    with pytest.raises(UnsupportedLayer, match=r"^conv: gives numbers of type torch.bfloat16 in the model"):
        trace(model)


def test_a_dead_layer_hides_nothing() -> None:
    """Nothing reaches the layer that differs for any image."""
    model = net(lambda m, x: m.fc(m.relu(m.conv2(m.relu(m.conv(x)))).flatten(1)))
    model.conv.bias.data.fill_(-100.0)
    model.conv2.register_forward_hook(lambda _m, inputs, y: y + inputs[0])
    with pytest.raises(UnsupportedLayer, match=r"^conv2: gives"):
        trace(model)


def test_dropout_of_its_mode_is_on_in_training_alone() -> None:
    for model in (net(switched), net(switched).eval()):
        prepared: Any = prepare(model, 4, threshold=1.0)
        x = torch.rand(3, *SHAPE)
        assert prepared.training == model.training
        assert torch.equal(prepared.eval()(x), prepared(x)) and not torch.equal(prepared.train()(x), prepared(x))


def test_a_forward_of_its_own_in_training_is_refused() -> None:
    model = net(lambda m, x: m.fc((m.relu(m.conv(x)) if m.training else m.relu(m.conv2(x))).flatten(1)))
    assert any(layer.name == "conv2" for layer in trace(model))
    with pytest.raises(UnsupportedLayer, match=r"^Net: its forward in training is another than in evaluation .*conv"):
        prepare(model, 4)


class Forgetful(Net):
    """A model whose copy is another one."""

    def __deepcopy__(self, memo: object) -> Net:
        return net(self.write, seed=5)


def test_a_copy_that_is_another_model_is_refused() -> None:
    torch.manual_seed(0)
    model = Forgetful()
    trace(model)
    with pytest.raises(UnsupportedLayer, match=r"^conv: gives"):
        prepare(model, 4)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), lambda x: F.max_pool2d(x, 2), lambda x: torch.max_pool2d(x, 2, 2)])
def test_average_pools_for_all_max_pools(pool: Any) -> None:
    model = changed(lambda m: setattr(m, "pool", pool) if isinstance(pool, nn.Module) else None,
                    lambda m, x: m.fc8((m.pool if isinstance(pool, nn.Module) else pool)(m.relu(m.conv(x))).flatten(1)))
    layers = trace(prepare(model, 4, average_pools=True))
    assert [layer.kind for layer in layers if isinstance(layer, Pool)] == ["average"]


def test_weights_that_are_computed_are_not_quantised_too() -> None:
    """A second parametrisation would quantise what the first one takes, or what it gives, as they happen to stand."""
    model = changed(lambda m: parametrizations.weight_norm(m.conv))
    with pytest.raises(UnsupportedLayer, match=r"^conv: its weight is computed in every forward"):
        fast_snn.prepare(model, 4)
    with pytest.raises(UnsupportedLayer, match=r"^conv: its weight is computed in every forward"):
        round_weights(prepare(model, 4), weight_bits=4)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_batch_norm_folded_into_what_is_not_a_plain_layer() -> None:
    model = dual_phase.prepare(changed(lambda m: nn.utils.weight_norm(m.conv)), 4).eval()
    with pytest.raises(UnsupportedLayer, match=r"^conv: its weight is computed .* cannot be folded too"):
        dual_phase.quantised(model)
    model = dual_phase.prepare(net(), 4).eval()
    model.conv.register_forward_hook(negated)  # type: ignore[union-attr]
    with pytest.raises(UnsupportedLayer, match=r"^conv: gives"):
        dual_phase.quantised(model)


def test_numbers_beyond_float32_are_refused() -> None:
    model = prepare(net().double(), 4)
    api.convert(model, shape=SHAPE, input_high=15, steps=4, weight_bits=8)
    model.get_parameter("conv.weight").data.fill_(1e300)
    with pytest.raises(NetworkError, match=r"^conv: weight holds NaN or infinity"):
        api.convert(model, shape=SHAPE, input_high=15, steps=4, weight_bits=8)
