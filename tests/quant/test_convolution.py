"""Convolutions to be differentiated: the same on every processor, whatever oneDNN has for it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from spikeloom.quant.data import digits
from spikeloom.quant.recipe import Distill, Epochs, QcfsRecipe
from spikeloom.quant.training.convolution import conv2d, right_gradients
from spikeloom.quant.training.train import train

LAYOUTS = torch.contiguous_format, torch.channels_last
SETTINGS = [
    dict(stride=2),
    dict(stride=(1, 3)),
    dict(stride=3, groups=2),
    dict(),
    dict(stride=2, padding=1),
    dict(stride=2, padding="valid", dilation=2),
]
# Height and width, kernel, stride, padding of convolutions that oneDNN's kernels for bfloat16 are wrong for.
NARROW = [
    ((16, 2), (3, 3), (2, 2), (1, 1)),
    ((7, 4), (3, 3), (2, 2), (2, 0)),
    ((9, 5), (1, 5), (1, 2), (0, 0)),
    ((9, 12), (2, 4), (1, 4), (0, 0)),
    ((7, 2), (3, 3), (1, 4), (1, 1)),
    ((5, 2), (4, 4), (3, 3), (2, 2)),
    ((2, 2), (2, 2), (3, 3), (1, 1)),
]
# Memory that nobody has written holds large numbers.
FILLED = {"MALLOC_PERTURB_": "165", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


def gradients(function, x: Tensor, weight: Tensor, **settings) -> list[Tensor]:
    """The result and its gradients, of the image and of the weight."""
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = function(x, weight, **settings)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), (x, weight))]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_same_as_pytorchs(settings, kernel, layout):
    generator = torch.Generator().manual_seed(kernel)
    x = torch.randn(3, 6, 7, 9, generator=generator).contiguous(memory_format=layout)
    weight = torch.randn(8, 6 // settings.get("groups", 1), kernel, kernel, generator=generator)
    # Sums in double, which oneDNN does not compute.
    want = gradients(F.conv2d, x.double(), weight.double(), **settings)
    for ours, theirs in zip(gradients(conv2d, x, weight, **settings), want, strict=True):
        assert torch.allclose(ours.double(), theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_in_memory_stays(layout):
    x = torch.randn(3, 6, 8, 8).contiguous(memory_format=layout)
    y, of_x, _ = gradients(conv2d, x, torch.randn(8, 6, 1, 1), stride=2)
    assert y.is_contiguous(memory_format=layout) and of_x.is_contiguous(memory_format=layout)


class Seen(torch.overrides.TorchFunctionMode):
    """Remembers strides and types of PyTorch's convolutions: of all, of those of single pixels that learn, and
    of strided ones that are wider."""

    def __init__(self) -> None:
        super().__init__()
        self.strides = []
        self.kinds = []
        self.single: set[tuple[int, ...]] = set()
        self.wide: set[torch.dtype] = set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.conv2d:
            stride = args[3] if len(args) > 3 else (kwargs or {}).get("stride", 1)
            self.strides.append(stride)
            cast = torch.is_autocast_enabled("cpu")
            self.kinds.append(torch.get_autocast_dtype("cpu") if cast else args[0].dtype)
            if stride not in (1, (1, 1)) and args[1].shape[-1] > 1:
                self.wide.add(self.kinds[-1])
            if args[1].shape[2:] == (1, 1) and args[1].requires_grad and torch.is_grad_enabled():
                self.single.add(stride)
        return func(*args, **(kwargs or {}))


def test_layers_of_a_model_have_right_gradients():
    class Own(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input) + 1

    model = nn.Sequential(
        nn.Conv2d(6, 6, 3, 2),
        nn.Conv2d(6, 6, 1, 2),
        parametrizations.weight_norm(nn.Conv2d(6, 6, 1, 2)),
        Own(6, 6, 1, 2),
        nn.Conv2d(6, 6, 1, 2, padding=1, padding_mode="circular"),
    )
    kinds, state, x = [type(m) for m in model], model.state_dict(), torch.randn(2, 6, 64, 64)
    want = model(x)
    with pytest.raises(KeyError), right_gradients(model):
        with Seen() as seen:
            found = model(x)
        assert seen.strides == [(2, 2), (1, 1), (1, 1), (2, 2), (2, 2)]
        assert isinstance(model[2], kinds[2]) and model.state_dict().keys() == state.keys()
        assert torch.allclose(found, want, atol=1e-5)
        raise KeyError
    assert [type(m) for m in model] == kinds


def test_floats_and_integers_are_trained_without_such_a_kernel():
    data = digits()
    few = replace(data, train_x=data.train_x[:100], train_y=data.train_y[:100])
    recipe = QcfsRecipe(data="digits", model="resnet", model_args={"depth": 8, "width": 4, "shortcut": "projection"},
                        steps=2, weight_bits=4, batch=50, epochs=Epochs(float=1, qcfs=0, integers=1))  # fmt: skip
    with Seen() as seen:
        train(recipe, data=few)
    assert seen.single == {(1, 1)}


def test_bfloat16_is_trained_and_taught_without_such_kernels():
    data = digits()
    few = replace(data, **{name: getattr(data, name)[:50] for name in ("train_x", "train_y", "test_x", "test_y")})
    recipe = QcfsRecipe(data="digits", model="resnet", model_args={"depth": 8, "width": 4}, steps=2, weight_bits=4,
                        batch=50, bf16=True, distill=Distill(), epochs=Epochs(float=1, qcfs=1, integers=0))  # fmt: skip
    with Seen() as seen:
        train(recipe, data=few)
    assert torch.bfloat16 in seen.kinds and seen.wide == {torch.float32}


def test_bfloat16_stays_as_it_is():
    x, weight = torch.randn(2, 6, 8, 8), torch.randn(8, 6, 1, 1)
    with Seen() as seen:
        conv2d(x.bfloat16(), weight.bfloat16(), stride=2)
        with torch.autocast("cpu", torch.bfloat16):
            conv2d(x, weight, stride=2)
    assert seen.strides == [(2, 2), (2, 2)] and seen.kinds == [torch.bfloat16] * 2


@pytest.mark.parametrize("kernel, stride, kind", [
    (3, 2, torch.float32), ((1, 2), (1, 3), torch.float32), (3, 1, torch.bfloat16), (1, 2, torch.bfloat16),
    ((3, 1), 2, torch.bfloat16), (3, (2, 1), torch.bfloat16),
])  # fmt: skip
def test_strided_windows_in_bfloat16_are_computed_in_float32(kernel, stride, kind):
    layer, x = nn.Conv2d(4, 6, kernel, stride, padding=1), torch.randn(2, 4, 7, 7)
    want = layer(x)
    with Seen() as seen, right_gradients(layer):
        with torch.autocast("cpu", torch.bfloat16):
            cast = layer(x)
        narrow = layer.bfloat16()(x.bfloat16())
    assert seen.kinds == [kind] * 2
    for found in (cast, narrow):
        assert found.dtype is torch.bfloat16 and torch.allclose(found.float(), want, atol=0.05)


def test_other_types_stay_as_they_are():
    with Seen() as seen:
        for kind in (torch.float32, torch.float64):
            conv2d(torch.zeros(1, 1, 5, 5, dtype=kind), torch.zeros(1, 1, 3, 3, dtype=kind), stride=2)
    assert seen.kinds == [torch.float32, torch.float64]


def damaging() -> None:
    """What gave wrong gradients and damaged memory: run in a process of its own, where oneDNN has no AVX-512."""
    generator = torch.Generator().manual_seed(0)
    for channels, size in ((6, 8), (3, 14), (4, 16), (12, 8)) * 4:
        x = torch.randn(32, channels, size, size, generator=generator).contiguous(memory_format=torch.channels_last)
        layer = nn.Conv2d(channels, 8, 1, 2, bias=False)
        weight = layer.weight.detach().clone().requires_grad_()
        (want,) = torch.autograd.grad(F.conv2d(x.double(), weight.double(), stride=2).square().sum(), weight)
        conv2d(x, weight, stride=2).square().sum().backward()
        with right_gradients(layer):
            layer(x).square().sum().backward()
        for found in (weight.grad, layer.weight.grad):
            assert found is not None and torch.allclose(found, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


def unwritten() -> None:
    """What had unwritten memory in it: run where that is filled, for it may happen to hold zeros."""
    generator = torch.Generator().manual_seed(0)
    for size, kernel, stride, padding in NARROW:
        for groups, layout in itertools.product((1, 2, 16), LAYOUTS):
            x = torch.randn(5, 16, *size, generator=generator).bfloat16().contiguous(memory_format=layout)
            weight = torch.randn(16, 16 // groups, *kernel, generator=generator).bfloat16()
            settings = dict(stride=stride, padding=padding, groups=groups)
            want = gradients(F.conv2d, x.double(), weight.double(), **settings)
            for ours, theirs in zip(gradients(conv2d, x, weight, **settings), want, strict=True):
                assert (ours.double() - theirs).norm() <= 0.05 * theirs.norm(), (size, kernel, settings)


def in_a_process(program: str, widest: str) -> str:
    """What it says, in a process where oneDNN has the instructions ``widest``."""
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True,
                          env=os.environ | FILLED | {"ONEDNN_MAX_CPU_ISA": widest}, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("widest", ["DEFAULT", "AVX2", pytest.param("SSE41", marks=pytest.mark.slow)])
def test_no_gradient_is_wrong_and_no_memory_damaged(widest):
    folder = str(Path(__file__).parent)
    in_a_process(f"import sys; sys.path.insert(0, {folder!r}); import test_convolution as t; "
                 "t.damaging(); t.unwritten()", widest)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("widest", ["DEFAULT", "AVX512_CORE", "AVX2", "SSE41"])
def test_no_result_of_random_layers_is_wrong(widest):
    wrong = in_a_process(
        "import random; from benchmarks.convolutions import drawn, errors; draw = random.Random(0)\n"
        "for _ in range(1000):\n"
        "    case = drawn(draw, False)\n"
        "    if wrong := errors(case, False): print(case, wrong)",
        widest,
    )
    assert not wrong, wrong
