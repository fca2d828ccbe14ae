"""Trained weights from files, into a model. Nothing in them is executed: PyTorch's ``weights_only``, or safetensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..files.folders import VARIABLE, data_file
from ..files.texts import near

__all__ = ["WeightsError", "fill", "load_weights"]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Keys of a checkpoint below which the tensors may lie."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
"""What wrappers put before every name: DataParallel, torch.compile, Lightning."""

LISTED = 6
"""Names of tensors that a message lists at most."""


class WeightsError(ValueError):
    """A file of weights that cannot be read or does not fit; the message names the file, the tensors and the remedy."""


def fill(model: nn.Module, path: str | Path) -> list[str]:
    """Load the state dict in ``path``, ``.safetensors`` or a file of ``torch.save``, into ``model``; return what was
    done to it that its user may want to know.

    The tensors may lie below a key of :data:`WRAPPERS`, and all their names begin with one of :data:`PREFIXES`. Raises
    WeightsError: no such file, pickled objects, names that are missing or too many, shapes that differ, no finite
    numbers.
    """
    path = data_file(path)
    found, notes = _loaded(path), list[str]()
    if isinstance(found, Mapping) and not _tensors(found):
        key = next((key for key in WRAPPERS if isinstance(found.get(key), Mapping) and _tensors(found[key])), None)
        if key is not None:
            others = f", without {_list(map(str, set(found) - {key}))}" if len(found) > 1 else ""
            notes.append(f"{path}: a checkpoint; the weights are those below {key!r}{others}")
            found = found[key]
    if not isinstance(found, Mapping) or not _tensors(found):
        what = f"a table with {_list(map(str, found))}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise WeightsError(
            f"{path}: holds {what}, and no state dict; save one with torch.save(model.state_dict(), FILE)"
        )
    state, wanted = {str(name): value for name, value in found.items()}, model.state_dict()
    for prefix in PREFIXES:
        while state and all(n.startswith(prefix) for n in state) and not any(n.startswith(prefix) for n in wanted):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
            notes.append(f"{path}: every name begins with {prefix!r}, which was left out")
    _check(path, state, wanted)
    try:
        model.load_state_dict(state, strict=False)
    except Exception as error:  # of modules that load in a way of their own
        raise WeightsError(f"{path}: does not fit the model ({_line(error)})") from None
    return notes


def _tensors(found: Mapping[Any, Any]) -> bool:
    """Whether ``found`` is a state dict: tensors by name, and perhaps what modules keep besides (``_extra_state``)."""
    values = [value for name, value in found.items() if not str(name).endswith("_extra_state")]
    return bool(values) and all(isinstance(value, Tensor) for value in values)


def _check(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Any]) -> None:
    """Refuse tensors that are missing, too many, of another shape, or not finite."""
    counted = "num_batches_tracked"  # which files of old versions lack, and evaluation never reads
    missing = [n for n in wanted if n not in state and not n.endswith((counted, "_extra_state"))]
    unexpected = [n for n in state if n not in wanted and not n.endswith((counted, "_extra_state"))]
    wrong = [n for n in state if n in wanted and isinstance(wanted[n], Tensor) and state[n].shape != wanted[n].shape
             and not isinstance(wanted[n], nn.UninitializedParameter)]  # fmt: skip
    parts = []
    if missing:
        parts.append(f"it lacks {_list(missing)}{near(missing[0], unexpected)}")
    if unexpected:
        parts.append(f"the model has no {_list(unexpected)}")
    if wrong:
        shapes = [f"{n} {_shape(state[n])}, not {_shape(wanted[n])} as in the model" for n in wrong]
        parts.append(f"of another shape: {_list(shapes)}")
    if parts:
        raise WeightsError(f"{path}: does not fit the model: {'; '.join(parts)}")
    for name, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise WeightsError(f"{path}: {name} holds NaN or infinity; take a checkpoint from before that happened")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "single number"


def _list(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(listed[:LISTED]) + more


def _loaded(path: Path) -> Any:
    """What the file holds, on the CPU."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file; {VARIABLE} may name the folder that it is found in") from None
    except IsADirectoryError:
        raise WeightsError(f"{path}: is a folder, not a file of weights") from None
    except Exception as error:  # pickle's own errors have no common class
        text = str(error)
        if "TorchScript" in text or "GLOBAL" in text or "Unsupported class" in text:
            held = re.search(r"GLOBAL ([\w.]+)", text)
            what = f"pickled Python objects ({held[1]})" if held else "a program, not weights"
            raise WeightsError(
                f"{path}: holds {what}, and loading them could run any code, so it is not done; save the weights "
                "alone, where the model is made: torch.save(model.state_dict(), FILE)"
            ) from None
        raise WeightsError(f"{path}: not a file of PyTorch weights ({_line(error)})") from None


def _line(error: Exception) -> str:
    if reason := re.search(r"WeightsUnpickler error:\s*(.+)", str(error)):  # behind PyTorch's advice to trust the file
        return reason[1][:300]
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]


def load_weights(model: nn.Module, path: str | Path, *, mean: Sequence[float] = (), std: Sequence[float] = ()) -> None:
    """Load a PyTorch file of published weights into ``model``; nothing in the file is executed. Where ``path`` is not
    there it is looked for in SPIKELOOM_DATA (``quant.files.folders``).

    The tensors may lie below "state_dict" and their names begin with "module.". Were they trained on images
    (x - ``mean``) / ``std``, channel by channel, then the first convolution and the batch norm behind it are changed so
    that the model takes plain x in 0..1: exactly inside the image, and nearly so at its border, where zeros are now
    black and were the mean. Raises ValueError where names, shapes or the number of channels do not fit.
    """
    path = data_file(path)
    found = _loaded(path)
    state = found.get("state_dict", found) if isinstance(found, dict) else {}
    state = {str(name).removeprefix("module."): value for name, value in state.items()}
    try:
        model.load_state_dict(state)
    except Exception as error:  # what is no tensor fails in many ways
        first = str(error).splitlines()[1:2] or [str(error)]  # behind a heading there is a line for every tensor
        raise ValueError(f"{path}: does not fit the model ({first[0].strip()})") from None
    if mean or std:
        _take_plain_pixels(model, torch.tensor(mean), torch.tensor(std), path)


def _take_plain_pixels(model: nn.Module, mean: Tensor, std: Tensor, path: str | Path) -> None:
    modules = list(model.modules())
    conv = next((m for m in modules if isinstance(m, nn.Conv2d)), None)
    if conv is None or not len(mean) == len(std) == conv.in_channels or not (std > 0).all():
        raise ValueError(f"{path}: mean and std must have a value, std a positive one, for every channel of the image")
    with torch.no_grad():
        conv.weight /= std.view(1, -1, 1, 1)
        less = (conv.weight * mean.view(1, -1, 1, 1)).sum((1, 2, 3))
        norm = modules[modules.index(conv) + 1]
        if conv.bias is not None:
            conv.bias -= less
        elif isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
            norm.running_mean += less
        else:
            raise ValueError(f"{path}: the first convolution needs a bias or a batch norm for mean and std")
