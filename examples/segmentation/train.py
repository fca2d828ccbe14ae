"""Trains the U-Net: ``python -m examples.segmentation.train -o unet.pt``, a few minutes of one core."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .data import scenes
from .net import UNet

__all__ = ["train"]

BATCH, RATE = 16, 0.01


def train(count: int, epochs: int, seed: int = 0) -> nn.Module:
    """A U-Net trained on ``count`` scenes for ``epochs``, in evaluation."""
    torch.manual_seed(seed)
    model, seen = UNet(), scenes("train", count, 3)
    x, y = torch.from_numpy(seen.pixels), torch.from_numpy(seen.truth).long()
    optimiser = torch.optim.Adam(model.parameters())
    steps = epochs * (count // BATCH)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(epochs):
        total, start = 0.0, time.perf_counter()
        order = torch.randperm(count)[: count // BATCH * BATCH].view(-1, BATCH)
        for chosen in order:
            loss = F.cross_entropy(model(x[chosen].float() / 255), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rates.step()
            total += loss.item() / len(order)
        print(f"epoch {epoch + 1} of {epochs}: loss {total:.4f}, {time.perf_counter() - start:.1f} s", flush=True)
    return model.eval()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Train the U-Net on scenes.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.pt")
    parser.add_argument("--scenes", type=int, default=2400)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args(arguments)
    torch.save(train(given.scenes, given.epochs).state_dict(), given.output)
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
