"""A sum with one of two numbers: a carry chain that chooses in its own cells (``either.v``)."""

from __future__ import annotations

from amaranth import *

from ...verilog.library import Library, is_asic

__all__ = ["either"]


def either(
    m: Module, platform: object, a: Value, choice: Value, values: tuple[Value, Value], shape: Shape, name: str,
    *, minus: bool = False,
) -> Value:  # fmt: skip
    """``values``[``choice``] + ``a``, or - ``a`` with ``minus``, modulo the width of ``shape``; ``choice`` is a bit."""
    inputs = {key: _resized(value, shape.width) for key, value in zip("abc", (a, *values), strict=True)}
    if isinstance(platform, Library) and not is_asic(platform):
        y = Signal(shape, name=name)
        parameters: dict[str, int | Const] = {"SIZE": shape.width, "MINUS": int(minus)}
        m.submodules += platform.instance("either", parameters, {**inputs, "s": choice}, {"y": y})
        return y
    one = Mux(choice, inputs["c"], inputs["b"])
    y = (one - inputs["a"] if minus else one + inputs["a"])[: shape.width]
    return y.as_signed() if shape.signed else y


def _resized(value: Value, width: int) -> Value:
    """``value`` in ``width`` bits, modulo that many."""
    return Cat(value, value[-1:].replicate(width if value.shape().signed else 0), Const(0, width))[:width]
