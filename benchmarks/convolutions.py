"""Compares PyTorch's convolutions and linear layers and their gradients with sums in double, at random shapes, each in
a process of its own, for a wrong kernel may damage memory. Shows the kernels of oneDNN that ran, and the cases that
were wrong, with the relative error of each result that was.

``python -m benchmarks.convolutions --isa AVX2 --cases 600``; ``--plain`` takes PyTorch's own function where the project
has another (``quant/training/convolution.py``), ``--single`` 1x1 convolutions with a stride alone. Only on Linux. glibc
fills memory that nobody has written, and its checking allocator finds bytes written past a tensor.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F

from spikeloom.quant.training.convolution import conv2d

WRONG = {torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float64: 1e-12}
"""Least relative error of a result that is wrong: roundings alone make less than half of it."""

MARK = "\nrelative errors "
"""Before what a child says of its results, among what oneDNN says."""


def main() -> int:
    """Returns 1 where a case was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isa", default="DEFAULT", help="ONEDNN_MAX_CPU_ISA: AVX2, AVX, SSE41, ...")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--single", action="store_true")
    options = parser.parse_args()
    if os.environ.get("ONEDNN_VERBOSE") != "1":  # what oneDNN may use is said before it starts
        checked = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165"}
        limits = {"ONEDNN_MAX_CPU_ISA": options.isa, "ONEDNN_VERBOSE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "benchmarks.convolutions", *sys.argv[1:]]
        return subprocess.run(command, env=os.environ | checked | limits, check=False).returncode
    draw, ran, wrong = random.Random(options.seed), Counter[str](), 0
    for _ in range(options.cases):
        case = drawn(draw, options.single)
        said, status = _in_a_child(case, options.plain, options.threads)
        kernels = re.findall(r"exec,cpu,(?:convolution|inner_product|matmul),([^,]*),([^,]*)", said)
        ran.update(" ".join(kernel) for kernel in kernels)
        if status:
            wrong += 1
            last = " ".join(kernels[-1]) if kernels else "no kernel"
            shown = said.rpartition(MARK)[2] if MARK in said else f"status {status}, {said[-160:].strip()}"
            print(f"{json.dumps(case)}: {last}: {shown}", flush=True)
    print(*(f"{count:6} {kernel}" for kernel, count in sorted(ran.items())), sep="\n")
    print(f"{wrong} of {options.cases} cases wrong, {options.isa}")
    return int(wrong > 0)


def drawn(draw: random.Random, single: bool) -> dict[str, Any]:
    """A convolution, any of its sizes, layouts and types: windows that padding alone fills in part, pixels that no
    window reads. Or, without a kernel, a linear layer."""
    few, odd = [1, 2, 3, 5, 8, 9], [1, 2, 3, 4, 6, 7, 8, 10, 12, 16, 17, 20, 24, 32, 33]
    groups = draw.choice([1, 1, 1, 2, 4])
    inputs, outputs = (draw.choice(odd if groups == 1 else few) * groups for _ in range(2))
    if draw.random() < 0.2:
        groups, outputs = inputs, inputs * draw.choice([1, 2])
    axes = [_axis(draw, single) for _ in range(2)]
    if draw.random() < 0.7:
        axes[1] = axes[0]
    linear = not single and draw.random() < 0.1
    return {
        "images": draw.choice([1, 2, 5, 30, 32]), "inputs": inputs, "outputs": outputs,
        **({} if linear else {name: [axis[name] for axis in axes] for name in axes[0]} | {"groups": groups}),
        "layouts": [draw.choice(["channels_last", "contiguous_format"]) for _ in range(3)], "bias": draw.random() < 0.3,
        "type": draw.choice(["float32", "float32", "bfloat16", "bfloat16", "float64"]), "image": draw.random() < 0.7,
    }  # fmt: skip


def _axis(draw: random.Random, single: bool) -> dict[str, int]:
    """Rows, or columns, that have a window."""
    while True:
        kernel, size = 1 if single else draw.choice([1, 1, 2, 3, 3, 3, 4, 5, 7]), draw.choice([1, 2, 3, 5, 8, 12, 16])
        padding, dilation = draw.choice([0, kernel // 2, kernel - 1]), draw.choice([1, 1, 1, 1, 2, 3])
        if size + 2 * padding > dilation * (kernel - 1):
            stride = draw.choice([2, 2, 3] if single else [1, 1, 2, 3, 4])
            return {"kernel": kernel, "size": size, "stride": stride, "padding": padding, "dilation": dilation}


def _in_a_child(case: dict[str, Any], plain: bool, threads: int) -> tuple[str, int]:
    """What it and oneDNN say, and its status."""
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        if not (child := os.fork()):
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            try:
                torch.set_num_threads(threads)
                wrong = errors(case, plain)
                os.write(1, (MARK + json.dumps(wrong)).encode())
                os._exit(2 if wrong else 0)
            except Exception as error:
                os.write(1, repr(error).encode())
                os._exit(3)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        return file.read().decode(errors="replace"), status


def errors(case: dict[str, Any], plain: bool) -> dict[str, float]:
    """Relative errors that are too large, by result: ``y``, and the gradients of ``x``, ``w`` and ``b``."""
    torch.manual_seed(0)
    kind, layouts = getattr(torch, case["type"]), [getattr(torch, layout) for layout in case["layouts"]]
    given: dict[str, Any] = {k: tuple(case[k]) for k in ("stride", "padding", "dilation") if k in case}
    given |= {"groups": case["groups"]} if given else {}
    shapes = {"x": (case["images"], case["inputs"], *case.get("size", ())),
              "w": (case["outputs"], case["inputs"] // case.get("groups", 1), *case.get("kernel", ()))}  # fmt: skip
    leaves = {name: _laid(torch.randn(shape).to(kind), layout)
              for (name, shape), layout in zip(shapes.items(), layouts, strict=False)}  # fmt: skip
    leaves |= {"b": torch.randn(case["outputs"]).to(kind)} if case["bias"] else {}
    learned = [name for name in leaves if name != "x" or case["image"]]
    right, ours = (F.conv2d, F.conv2d if plain else conv2d) if given else (F.linear, F.linear)
    found, grad = dict[str, torch.Tensor](), None
    for exact in (False, True):
        torch.backends.mkldnn.enabled = not exact
        parts = {name: (x.double() if exact else x).detach() for name, x in leaves.items()}
        for name in learned:
            parts[name].requires_grad_()
        y = (right if exact else ours)(parts["x"], parts["w"], parts.get("b"), **given)
        if grad is None:
            grad = _laid(torch.randn(y.shape).to(kind), layouts[2])
        got = torch.autograd.grad(y, [parts[name] for name in learned], grad.to(y.dtype))
        now = {"y": y.detach(), **dict(zip(learned, got, strict=True))}
        found = now if not exact else {k: (found[k].double() - x).norm() / (x.norm() + 1e-30) for k, x in now.items()}
    return {name: float(error) for name, error in found.items() if not error < WRONG[kind]}


def _laid(x: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    return x.contiguous(memory_format=layout) if x.ndim == 4 else x


if __name__ == "__main__":
    sys.exit(main())
