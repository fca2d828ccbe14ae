"""Operations that change no answer and are left out: dropout, Identity, copies, and a final softmax or sigmoid, or its
log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from ..layers.curve import sigmoid
from .registry import reads

if TYPE_CHECKING:
    from .call import Call

__all__ = ["DROPOUTS"]

DROPOUTS = (F.dropout, F.dropout2d)
"""Those that ``prepare`` makes modules of."""


@reads(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Identity)
def _module(call: Call) -> None:
    call.hand_on()


@reads(*DROPOUTS, F.dropout1d, F.dropout3d, F.alpha_dropout, arguments=("input", "p", "training", "inplace"))
def _dropout(call: Call) -> None:
    for key in ("p", "inplace"):  # which change nothing in evaluation
        call.take(key)
    if call.take("training", True) is not False:
        call.refuse("dropout that is on in evaluation", "nn.Dropout, or F.dropout(x, p, self.training)")
    call.hand_on()


@reads("clone", "contiguous", torch.clone, arguments=("input",))
def _copy(call: Call) -> None:
    """A copy, also of what is no layer yet."""
    call.take("memory_format")
    if call.held(call.of) is not None:
        call.hold(call.held(call.of))
    else:
        call.hand_on()


@reads("detach", torch.detach, "float", "double", "cpu", arguments=("input",))
@reads("to", "type_as", arguments=("input", "other", "dtype", "non_blocking", "copy"))
def _converted(call: Call) -> None:
    """The same numbers, which are compared with their type (``operations``)."""
    for key in ("other", "dtype", "device", "non_blocking", "copy", "memory_format"):
        call.take(key)
    call.hand_on()


@reads(nn.Softmax, nn.LogSoftmax)
def _softmax_module(call: Call) -> None:
    _final(call, call.module.dim)


@reads(F.softmax, F.log_softmax, arguments=("input", "dim", "_stacklevel", "dtype"))
@reads(torch.softmax, torch.log_softmax, "softmax", "log_softmax", arguments=("input", "dim", "dtype"))
def _softmax(call: Call) -> None:
    call.take("_stacklevel")
    _final(call, call.take("dim"))
    if call.take("dtype") is not None:
        call.refuse("a softmax in another type of numbers", "softmax without dtype")


@reads(nn.Sigmoid)
@reads(torch.sigmoid, F.sigmoid, "sigmoid")
def _sigmoid(call: Call) -> None:
    if all(user.op == "output" for user in call.node.users):
        call.decide()
    else:
        sigmoid(call)


@reads(nn.LogSigmoid)
@reads(F.logsigmoid)
def _log_sigmoid(call: Call) -> None:
    _final(call, 1)


def _final(call: Call, axis: Any) -> None:
    if any(user.op != "output" for user in call.node.users):
        call.refuse("softmax inside the network", "softmax as the last layer, where it changes no answer")
    if axis not in (None, 1, -1):  # None is 1 for what a Linear gives
        call.refuse(f"softmax over axis {axis}", "softmax over the classes, axis 1")
    call.decide()
