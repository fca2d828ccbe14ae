"""Several processes that train one model, started by torchrun; without it, one.

Every process draws the same random numbers and takes its share of every batch, so that an epoch has the same images
in the same batches however many there are. Gradients are averaged by PyTorch's DistributedDataParallel, running
averages of batch norm at the end of an epoch. NCCL on CUDA, Gloo on the CPU.
"""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..recipe import RecipeError

__all__ = ["Workers", "joined"]


@dataclass(frozen=True)
class Workers:
    """The processes that train together: ``rank`` of this one, ``size``, how many, and ``device``, this one's."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def share(self, x: Tensor) -> Tensor:
        """This process's part of a batch."""
        return x[self.rank :: self.size] if self.size > 1 else x

    def wrapped(self, model: nn.Module) -> nn.Module:
        """``model`` in a shell that averages the gradients of what it computes, as long as it lives."""
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)

    def sums(self, values: Sequence[float]) -> list[float]:
        """The sums of ``values`` over all processes."""
        if self.size == 1:
            return list(values)
        every = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(every)
        return every.tolist()

    def average_buffers(self, model: nn.Module) -> None:
        """Make the running averages of ``model`` those of all processes."""
        if self.size == 1:
            return
        for buffer in model.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= self.size

    def meet(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[Workers]:
    """The processes torchrun has started, or this one alone; ``device`` is "auto", "cpu" or "cuda".

    They stay joined until they end. Raises RecipeError where CUDA is asked for and absent.
    """
    cuda = torch.cuda.is_available() if device == "auto" else device.startswith("cuda")
    if cuda and not torch.cuda.is_available():
        raise RecipeError("device must be 'cpu' or 'auto': this PyTorch finds no CUDA device")
    size, local = (int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", "1"), ("LOCAL_RANK", "0")))
    if size == 1:
        yield Workers(device=device if ":" in device else "cuda" if cuda else "cpu")
        return
    if cuda:
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
        atexit.register(dist.destroy_process_group)
    with warnings.catch_warnings():
        # What replaces broadcast_buffers is not there yet in the oldest PyTorch that is supported; strides that differ
        # cost a copy of the gradient.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        yield Workers(dist.get_rank(), size, f"cuda:{local}" if cuda else "cpu")
        dist.barrier()
