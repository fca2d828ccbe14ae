"""What integrators get of the AXI core: a header comment for its ports, an instance, constraints, a list of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ....quant.files.replacing import replacing
from .constraints import constraints
from .files import file_list
from .instance import instance

__all__ = ["axi_header", "axi_signals", "integrate_axi"]

_CHANNELS = {
    "s_axis": "pixels: {frame_bytes:,} bytes a frame, row by row, pixel by pixel, channel by channel; {beat_bytes} in "
    "a beat, the first in the lowest bits",
    "m_axis": "results: {result_words:,} words a frame: class (bits 15 to 0) and status (bits 31 to 24), then one "
    "sign-extended logit a class",
    "s_axil_aw": "register to write",
    "s_axil_w": "value to write",
    "s_axil_b": "answer to a write",
    "s_axil_ar": "register to read",
    "s_axil_r": "value read",
}
_PARTS = {
    "valid": "a beat is offered", "ready": "the beat is taken at the next edge if it is valid",
    "last": "the beat is the last one of its packet", "data": "the beat", "addr": "address in bytes",
    "prot": "not looked at", "strb": "which bytes are written",
    "resp": "0 is okay, 2: there is no such register, or not to be read or written",
    "user": "the beat ends a packet that a soft reset has cut",
}  # fmt: skip
_MAP = ("map {name}: {words_per_frame:,} words a frame; {order}; numbers in a word: {lanes} of {bits} bits in two's "
        "complement, the first in the lowest bits, {low:,} to {high:,}")


def axi_signals(core: Mapping[str, Any]) -> list[tuple[str, bool, int, str]]:
    """(name, whether it is an output, width, meaning) of all ports; ``core``: the key ``axi`` of ``design.json``."""
    found = []
    for name, width in core["ports"].items():
        if name in ("aclk", "aresetn"):
            text = "clock of all ports" if name == "aclk" else "synchronous reset, active low"
            found.append((name, False, width, text))
            continue
        channel, _, part = name.rpartition("_t")
        if not channel:
            channel = next(c for c in sorted(_CHANNELS, key=len, reverse=True) if name.startswith(c))
            part = name.removeprefix(channel)
        # A manager drives what an input channel carries; ready goes the other way.
        out = (channel.startswith("m_axis") or channel in ("s_axil_b", "s_axil_r")) != (part == "ready")
        found.append((name, out, width, f"{_about(core)[channel].partition(':')[0]}: {_PARTS[part]}"))
    return found


def _about(core: Mapping[str, Any]) -> dict[str, str]:
    """What every channel carries."""
    maps = {each["stream"]: _MAP.format(**each) for each in core.get("maps", ())}
    return {name: text.format(**core) for name, text in _CHANNELS.items()} | maps


def axi_header(core: Mapping[str, Any], network_hash: str) -> str:
    """The comment that explains every port of the AXI core."""
    about = _about(core)
    streams = ("s_axis", "m_axis", *(each["stream"] for each in core.get("maps", ())))
    lines = [f"Network {network_hash[:16]}, frames on AXI4-Stream, registers on AXI4-Lite (docs/axi.md).", ""]
    signals = axi_signals(core)
    longest = max(16, *(len(name) for name, *_ in signals))
    for name, out, width, text in signals:
        size = f"[{width - 1}:0]" if width > 1 else ""
        lines.append(f"{'output' if out else 'input':6} {name:{longest}} {size:7} {text}")
    lines += ["", *(f"{name}: {about[name]}" for name in streams), "", "Registers:"]
    longest = max(14, *(len(name) for name in core["registers"]))
    for name, register in core["registers"].items():
        lines.append(f"  0x{register['address']:02x} {name:{longest}} {register['access']:10} {register['text']}")
    return "".join(f"// {line}".rstrip() + "\n" for line in lines)


def integrate_axi(contents: Mapping[str, Any], folder: Path, megahertz: float) -> dict[str, str]:
    """Write them; return their files by what they are."""
    core = contents["axi"]
    top, verilog = core["top"], core["verilog"]
    stem = verilog.removesuffix(".v")
    texts = {"axi_instance": (f"{stem}_inst.v", instance(top, axi_signals(core)))}
    clocks: Sequence[tuple[str, str]] = list(constraints(top, "aclk", megahertz).items())
    texts |= {f"axi_{kind}": (f"{stem}.{kind}", text) for kind, text in clocks}
    texts["axi_file_list"] = f"{stem}.f", file_list([verilog], None)
    for file, text in texts.values():
        with replacing(folder / file) as path:
            path.write_text(text)
    return {what: file for what, (file, _) in texts.items()}
