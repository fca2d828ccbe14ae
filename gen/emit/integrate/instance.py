"""``NAME_inst.v``: an instantiation to copy, with a wire for every port."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["instance"]


def instance(top: str, signals: Sequence[tuple[str, bool, int, str]]) -> str:
    """The text of a module ``top_inst`` whose only content is an instance of ``top``, all its ports connected."""
    about = f"// Copy what is inside this module: an instance of {top} with a wire for every port."
    lines = [about, f"module {top}_inst;"]
    for name, out, width, text in signals:
        size = f"[{width - 1}:0] " if width > 1 else ""
        lines.append(f"  wire {size}{name};  // {'from' if out else 'to'} the design: {text}")
    lines += ["", f"  {top} {top}_0 ("]
    names = [name for name, *_ in signals]
    lines += [f"    .{name}({name}){',' if name != names[-1] else ''}" for name in names]
    return "\n".join([*lines, "  );", "endmodule", ""])
