"""The state of a training in a file beside the network it makes, so that a kill at any moment loses little.

The file is PyTorch's own format, of tensors, numbers, texts, lists and dictionaries only, read with
``weights_only=True``: nothing in it is executed. It is replaced as a whole by a rename, so that there is at every
moment either the state before or the state after.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import nn

from ..data import Dataset
from ..files.texts import TextError, parse_json, shown
from ..recipe import Recipe
from .checkpoint_parts import wrong_part

__all__ = ["Checkpoint", "CheckpointError", "copied", "identity", "random_state", "restore_random_state"]

FORMAT = 1
REMEDY = "train from the beginning with --restart"


class CheckpointError(ValueError):
    """A checkpoint that cannot be continued; the message names the file, the reason and the remedy."""


def identity(recipe: Recipe, data: Dataset) -> dict[str, str]:
    """What a training depends on, as texts: recipe, contents of the data, version of the program."""
    digest = hashlib.sha256(f"{data.high} {data.shape}".encode())
    for array in (data.train_x, data.train_y, data.test_x, data.test_y):
        digest.update(np.ascontiguousarray(array).data)
    rest = {key: value for key, value in asdict(recipe).items() if key != "data"}  # its contents, not its place
    return {
        "recipe": json.dumps(rest, sort_keys=True),
        "data": f"{data.name} {digest.hexdigest()}",
        "version": f"spikeloom {version('spikeloom')}, torch {torch.__version__}, checkpoint {FORMAT}",
    }


class Checkpoint:
    """A checkpoint file, ``path``; None keeps nothing.

    Attributes: ``state``, what :meth:`write` was last given, or what the file held, or an empty dictionary.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self.state: dict[str, Any] = {}

    @property
    def temporary(self) -> Path:
        """Where the next state is written before it replaces the present one."""
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.part")

    def read(self, identity: Mapping[str, str]) -> bool:
        """Read ``state`` and say whether there was one. Raises CheckpointError for that of another training."""
        if self.path is None or not self.path.exists():
            return False
        try:
            with zipfile.ZipFile(self.path) as file:  # PyTorch writes checksums, and reads them no more
                if (changed := file.testzip()) is not None:
                    raise ValueError(f"the checksum of {changed} is another one")
            found = torch.load(self.path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # pickle's own errors have no common class
            raise CheckpointError(f"{self.path}: not a checkpoint, or damaged ({_line(error)}); {REMEDY}") from None
        if not isinstance(found, dict) or not _texts(theirs := found.get("identity")):
            raise CheckpointError(f"{self.path}: not a checkpoint, it has no 'identity'; {REMEDY}")
        for key, value in identity.items():
            if theirs.get(key) != value:
                raise CheckpointError(f"{self.path}: {_difference(key, theirs.get(key, ''), value)}; {REMEDY}")
        if (wrong := wrong_part(found)) is not None:
            raise CheckpointError(f"{self.path}: damaged, {wrong}; {REMEDY}")
        self.state = found
        return True

    def write(self, identity: Mapping[str, str], state: Mapping[str, Any]) -> None:
        """Replace the file by one of ``state``."""
        self.state = {"identity": dict(identity), **state}
        if self.path is None:
            return
        with self.temporary.open("wb") as file:
            torch.save(self.state, file)
            file.flush()
            os.fsync(file.fileno())
        self.temporary.replace(self.path)

    def unfit(self, error: Exception) -> CheckpointError:
        """The error for a state that does not fit the model."""
        return CheckpointError(f"{self.path}: does not fit the training ({_line(error)}); {REMEDY}")

    def remove(self) -> None:
        """Remove the file, and what a kill may have left of the next one."""
        self.state = {}
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.temporary.unlink(missing_ok=True)


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]


def _texts(value: Any) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and all(type(part) is str for pair in value.items() for part in pair)


def _difference(key: str, theirs: str, ours: str) -> str:
    """What tells two identities apart, as far as a reader wants to know."""
    if key == "recipe":
        try:
            a, b = parse_json(theirs), parse_json(ours)
        except TextError:
            a = b = None
        if not isinstance(a, dict) or not isinstance(b, dict):
            return f"belongs to no recipe that can be read: {shown(theirs)}"
        name = next((k for k in (*b, *a) if k not in a or k not in b or a[k] != b[k]), None)
        if name is None:
            return "belongs to a recipe that was written in another way"
        return f"belongs to another recipe, with {name} = {shown(a.get(name))}, not {shown(b.get(name))}"
    if key == "data":
        before, now = theirs.rpartition(" ")[0], ours.rpartition(" ")[0]
        if before == now:
            return f"belongs to other images of {now}"
        return f"belongs to other data, {before[:80]}, not {now}"
    return f"was written by {theirs[:200]}, and this is {ours}"


def random_state() -> dict[str, Any]:
    """The states of all random numbers of PyTorch; NumPy's are not used in training."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Undo everything that was drawn since ``state`` was taken."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def copied(model: nn.Module) -> dict[str, Any]:
    """The state of ``model``, on the CPU, its own copy."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
