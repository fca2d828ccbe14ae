"""Conversion takes the network that runs: what a model does beyond its graph is converted as it is, or refused by name.

One row a case: a model, and the answer, "equal" or the message. Equal means that the layers give what the model gives,
called as its user calls it, and that a prepared copy with very fine activations does too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from faithful_models import (
    EQUAL,
    SHAPE,
    Coarse,
    Halved,
    Padded,
    Scaled,
    Symmetric,
    activated,
    alias,
    changed,
    counted,
    doubled,
    ended,
    head,
    hooked,
    in_turn,
    late_alias,
    loaded,
    negated,
    net,
    swapped,
    switched,
    tied,
    written_image,
    written_over,
)
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import trace
from spikeloom.quant.ir.ops import NetworkError
from spikeloom.quant.methods.qcfs.algorithm import QCFS, prepare

MODELS: list[tuple[str, Callable[[], Any], str]] = [
    ("training mode", net, EQUAL),
    ("forward hook", lambda: changed(lambda m: m.conv.register_forward_hook(negated)), r"^conv: gives .* in the model"),
    ("forward hook of a batch norm", lambda: changed(lambda m: m.norm.register_forward_hook(negated)), r"^conv: gives"),
    ("forward hook of a ReLU", lambda: changed(lambda m: m.relu.register_forward_hook(negated)), r"^relu: gives"),
    ("pre-hook", lambda: changed(lambda m: m.fc.register_forward_pre_hook(doubled)), r"^fc: gives"),
    ("hook of the model", lambda: changed(lambda m: m.register_forward_hook(negated)), r"^Net: gives"),
    ("pre-hook of the model", lambda: changed(lambda m: m.register_forward_pre_hook(doubled)), r"^conv: gives"),
    ("hook of a container", lambda: changed(lambda m: setattr(m, "relu", hooked(nn.Sequential(nn.ReLU())))),
     EQUAL),
    ("hook that looks only", lambda: changed(lambda m: m.conv.register_forward_hook(lambda *_: None)), EQUAL),
    ("weight_norm", lambda: loaded(lambda m: nn.utils.weight_norm(m.conv)), EQUAL),
    ("spectral_norm", lambda: loaded(lambda m: nn.utils.spectral_norm(m.conv)), EQUAL),
    ("parametrised weight_norm", lambda: loaded(lambda m: parametrizations.weight_norm(m.conv)), EQUAL),
    ("parametrised spectral_norm", lambda: loaded(lambda m: parametrizations.spectral_norm(m.conv)), EQUAL),
    ("pruned", lambda: loaded(lambda m: prune.l1_unstructured(m.conv, "weight", 0.5)), EQUAL),
    ("parametrised", lambda: loaded(lambda m: parametrize.register_parametrization(m.conv, "weight", Symmetric())),
     EQUAL),
    ("forward of its own", lambda: swapped(Scaled(2, 2, 3, padding=1)), EQUAL),
    ("forward of its own, parametrised", lambda: swapped(Scaled(2, 2, 3, padding=1), parametrised=True),
     r"^conv: gives"),
    ("_conv_forward of its own, parametrised", lambda: swapped(Padded(2, 2, 3, padding=1), parametrised=True),
     r"^conv: gives"),
    ("masked", lambda: net(lambda m, x: F.linear(m.relu(m.conv(x)).flatten(1), m.fc.weight * 2)), EQUAL),
    ("F.conv2d", lambda: net(lambda m, x: m.fc(m.relu(F.conv2d(x, m.conv.weight, padding=1)).flatten(1))),
     EQUAL),
    ("F.batch_norm", lambda: net(lambda m, x: m.fc(m.relu(F.batch_norm(m.conv(x), None, None, training=True))
                                                   .flatten(1))), r"^batch_norm: batch norm with the statistics of"),
    ("a constant", lambda: net(lambda m, x: m.fc(m.relu(m.conv(x * torch.tensor(2.0))).flatten(1))),
     r"normalises the image in its forward|^_tensor_constant0: a constant that the forward makes"),
    ("a matrix", lambda: net(lambda m, x: m.fc(m.relu(m.conv(x * torch.ones(2, 2))).flatten(1))), r"outside a layer"),
    ("padding_mode circular", lambda: swapped(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")),
     r"^conv: padding_mode='circular'"),
    ("padding_mode reflect", lambda: swapped(nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect")),
     r"^conv: padding_mode='reflect'"),
    ("a layer twice", lambda: net(lambda m, x: m.fc(m.relu(m.conv2(m.relu(m.conv2(x)))).flatten(1))), EQUAL),
    ("a shared weight", lambda: changed(tied, lambda m, x: m.fc(m.relu(m.conv2(m.relu(m.conv(x)))).flatten(1))), EQUAL),
    ("in turn", lambda: net(in_turn), r"^Net: gives"),
    ("+= on what is read again", lambda: net(alias), EQUAL),
    ("a sum for two", lambda: net(lambda m, x: m.fc(m.relu((h := m.conv(x) + x) + m.conv2(m.relu(h))).flatten(1))),
     EQUAL),
    ("+= behind an alias", lambda: net(late_alias), r"^add_1: gives"),
    ("relu over what is read again", lambda: net(written_over), EQUAL),
    ("+= on the image", lambda: net(written_image), EQUAL),
    ("add_", lambda: net(lambda m, x: m.fc(m.relu(m.conv(x).add_(m.conv2(x))).flatten(1))), EQUAL),
    ("add with out", lambda: net(lambda m, x: m.fc(m.relu(torch.add(a := m.conv(x), m.conv2(x), out=a)).flatten(1))),
     r"^add: out=.* is not supported"),
    ("add with alpha", lambda: net(lambda m, x: m.fc(m.relu(m.conv(x).add(m.conv2(x), alpha=3)).flatten(1))),
     r"^add: a sum with alpha=3"),
    ("relu by keyword", lambda: net(lambda m, x: m.fc(F.relu(input=m.conv(x)).flatten(1))), EQUAL),
    ("F.dropout, always", lambda: net(lambda m, x: m.fc(F.dropout(m.relu(m.conv(x))).flatten(1))),
     r"^dropout: dropout that is on in evaluation"),
    ("F.dropout of its mode", lambda: net(switched), EQUAL),
    ("max_pool2d", lambda: head(lambda m, x: F.max_pool2d(x, 2).flatten(1)), EQUAL),
    ("torch.max_pool2d", lambda: head(lambda m, x: torch.max_pool2d(x, 2, 2).flatten(1)), EQUAL),
    ("max_pool2d, ceil_mode", lambda: head(lambda m, x: F.max_pool2d(x, 2, ceil_mode=True).flatten(1)), EQUAL),
    ("max_pool2d, dilation", lambda: head(lambda m, x: F.max_pool2d(x, 2, dilation=2).flatten(1)), r"dilation=2"),
    ("max_pool2d, return_indices", lambda: head(lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0].flatten(1)),
     r"max_pool2d_with_indices is not supported"),
    ("MaxPool2d, return_indices", lambda: changed(
        lambda m: setattr(m, "pool", nn.MaxPool2d(2, return_indices=True)),
        lambda m, x: m.fc8(m.pool(m.relu(m.conv(x)))[0].flatten(1))), r"^pool: return_indices=True is not"),
    ("avg_pool2d, divisor", lambda: head(lambda m, x: F.avg_pool2d(x, 2, divisor_override=3).flatten(1)), EQUAL),
    ("AvgPool2d, divisor", lambda: changed(
        lambda m: setattr(m, "pool", nn.AvgPool2d(2, divisor_override=1)),
        lambda m, x: m.fc8(m.pool(m.relu(m.conv(x))).flatten(1))), EQUAL),
    ("avg_pool2d, divisor -1", lambda: head(lambda m, x: F.avg_pool2d(x, 2, divisor_override=-1).flatten(1)),
     r"^avg_pool2d: divisor_override=-1"),
    ("avg_pool2d, count_include_pad", lambda: head(lambda m, x: F.avg_pool2d(x, 2, count_include_pad=False).flatten(1)),
     EQUAL),
    ("avg_pool2d, padding", lambda: head(lambda m, x: F.avg_pool2d(x, 3, 2, 1).flatten(1)), EQUAL),
    ("adaptive_avg_pool2d(2)", lambda: head(lambda m, x: F.adaptive_avg_pool2d(x, 2).flatten(1)), EQUAL),
    ("adaptive_max_pool2d", lambda: head(lambda m, x: F.adaptive_max_pool2d(x, 1).flatten(1), "fc2"), EQUAL),
    ("avg_pool2d of a map", lambda: head(lambda m, x: F.avg_pool2d(x, x.size(2)).flatten(1), "fc2"), EQUAL),
    ("mean", lambda: head(lambda m, x: x.mean((2, 3)), "fc2"), EQUAL),
    ("mean, dtype", lambda: head(lambda m, x: x.mean((2, 3), dtype=torch.float64).float(), "fc2"),
     r"^mean: a mean in another type"),
    ("flatten(0)", lambda: head(lambda m, x: torch.flatten(x, 0), "fc"), r"^flatten: flatten\(0, -1\)"),
    ("flatten(1, 2)", lambda: head(lambda m, x: torch.flatten(x, 1, end_dim=2), "fc"), r"^flatten: flatten\(1, 2\)"),
    ("softmax", lambda: ended(lambda z: F.softmax(z, 1)), EQUAL),
    ("log_softmax", lambda: ended(lambda z: z.log_softmax(-1)), EQUAL),
    ("softmax over the batch", lambda: ended(lambda z: torch.softmax(z, 0)), r"^softmax: softmax over axis 0"),
    ("softmax in float64", lambda: ended(lambda z: F.softmax(z, 1, dtype=torch.float64)), r"another type of numbers"),
    ("LogSoftmax over the batch", lambda: nn.Sequential(nn.Flatten(), nn.Linear(32, 3), nn.LogSoftmax(0)),
     r"^2: softmax over axis 0"),
    ("a hook of a QCFS", lambda: activated(hooked(QCFS(4, 1.0))), r"^relu: gives"),
    ("a forward of a QCFS", lambda: activated(Halved(4, 1.0)), r"^relu: Halved has a forward of its own"),
    ("a quantiser that does not round", lambda: activated(Coarse(4, 1.0)), r"^relu: its quantise gives values .* away"),
    ("half", lambda: net().half(), EQUAL),
    ("bfloat16", lambda: net().bfloat16(), EQUAL),
    ("double", lambda: net().double(), EQUAL),
    ("meta", lambda: net().to("meta"), r"^conv\.weight: a tensor on the device 'meta'"),
    ("complex", lambda: changed(lambda m: setattr(m.conv, "weight", nn.Parameter(m.conv.weight.cfloat()))),
     r"^conv\.weight: a complex tensor"),
    ("lazy", lambda: changed(lambda m: setattr(m, "fc", nn.LazyLinear(3))),
     r"^fc\.weight: a parameter without a shape"),
    ("quantised", lambda: torch.ao.quantization.quantize_dynamic(net().eval(), {nn.Linear}),
     r"^fc: torch\.ao\.nn\.quantized\.dynamic\.modules\.linear\.Linear is not supported"),
    ("counting", lambda: net(counted), EQUAL),
    ("in parallel", lambda: nn.DataParallel(net()), r"^DataParallel: a wrapper .* model\.module"),
    ("scripted", lambda: torch.jit.trace(net().eval(), torch.rand(1, *SHAPE)), r"^TopLevelTracedModule: a wrapper"),
    ("several results", lambda: net(lambda m, x: (m.fc(m.relu(m.conv(x)).flatten(1)), x)), r"the image itself"),
    ("a branch on data", lambda: net(lambda m, x: m.fc((x if x.sum() > 0 else -x).flatten(1))),
     r"^Net: its forward cannot be traced"),
]  # fmt: skip


def answers(logits: Tensor) -> Tensor:
    """Logits in a form that a softmax does not change."""
    soft = (logits >= 0).all() and torch.allclose(logits.sum(1), torch.ones(len(logits)).to(logits), atol=1e-2)
    return (logits.log() if soft else logits.log_softmax(1)).double()


def eager(model: Any) -> tuple[Tensor, Tensor]:
    """Images and the answers of ``model`` in evaluation, in numbers as wide as its own."""
    dtype = next(model.parameters()).dtype
    x = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(9)).to(dtype)
    with torch.no_grad():
        return x, answers(copy.deepcopy(model).eval()(x.clone()))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("build", "want"), [row[1:] for row in MODELS], ids=[row[0] for row in MODELS])
def test_converted_as_it_is_or_refused_by_name(build: Callable[[], Any], want: str) -> None:
    model = build()
    if want != EQUAL:
        for convert in (lambda: trace(model, SHAPE), lambda: prepare(model, 4, shape=SHAPE)):
            with pytest.raises((UnsupportedLayer, NetworkError), match=want):
                convert()
        return
    state = {name: x.clone() for name, x in model.state_dict().items()}
    numbers = torch.random.get_rng_state()
    layers = trace(model, SHAPE)
    assert model.training and torch.equal(numbers, torch.random.get_rng_state()) and getattr(model, "calls", 0) == 0
    assert all(torch.equal(x, state[name]) for name, x in model.state_dict().items())
    x, right = eager(model)
    close: dict[str, float] = {"rtol": 0, "atol": 1e-5 if x.dtype in (torch.float32, torch.float64) else 0.05}
    *_, (_, logits) = results(layers, x if x.dtype == torch.float64 else x.float())
    assert torch.allclose(answers(logits), right, **close)
    fine = prepare(model, 1 << 20, threshold=64.0)
    assert torch.allclose(eager(fine)[1], right, rtol=0, atol=close["atol"] + 1e-3)
