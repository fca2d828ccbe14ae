"""A network as a table: what each node is, what it gives, and what it costs in weights and multiplications."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .node import Node
from .ops import Synapse

if TYPE_CHECKING:
    from .network import Network

__all__ = ["COLUMNS", "as_html", "as_text", "html_table", "rows", "text_table", "total"]

COLUMNS = ("node", "kind", "takes", "shape", "gives", "range", "weights", "bits", "MACs")


def rows(network: Network) -> list[tuple[str, ...]]:
    """A row of :data:`COLUMNS` for every node. The range is of one time step, over all inputs; MACs are those of an
    image, once through, whatever the time steps; padding is no input, whatever stands there."""
    found = []
    for node in network:
        signal = network.signals[node.name]
        shape = "×".join(map(str, signal.shape if signal.shape[1:] != (1, 1) else signal.shape[:1]))
        weights = bits = macs = ""
        if isinstance(node, Synapse):
            weights, bits = f"{node.weight.size:,}", str(node.weight_bits)
            macs = f"{_macs(network, node):,}"
        found.append(
            (node.name, _kind(node), ", ".join(node.sources), shape, signal.kind,
             f"{signal.low:,}..{signal.high:,}", weights, bits, macs)
        )  # fmt: skip
    return found


def _kind(node: Node) -> str:
    """The kind of ``node``, and whether other numbers than 0 stand around its input."""
    padded = isinstance(node, Synapse) and node.around is not None
    return f"{type(node).__name__}, pad" if padded else type(node).__name__


def total(network: Network) -> str:
    """The whole network in a line."""
    layers = [node for node in network if isinstance(node, Synapse)]
    bits = sorted({node.weight_bits for node in layers})
    time = f"T = {network.steps}" if network.steps > 1 else "no time steps"
    return (
        f"{sum(node.weight.size for node in layers):,} weights of {' or '.join(map(str, bits)) or 'no'} bits, "
        f"{sum(_macs(network, node) for node in layers):,} MACs an image, {network.gives}, {time}, "
        f"hash {network.hash[:16]}"
    )


def _macs(network: Network, node: Synapse) -> int:
    return int(node.fan_out(network.signals[node.source].shape).sum())


def as_text(network: Network) -> str:
    """The table as lines of text."""
    return f"{text_table(COLUMNS, rows(network), left=5)}\n{total(network)}"


def as_html(network: Network) -> str:
    """The table for a notebook."""
    return f"{html_table(COLUMNS, rows(network), left=5)}<p>{escape(total(network))}</p>"


def text_table(columns: tuple[str, ...], body: list[tuple[str, ...]], *, left: int = 1) -> str:
    """Lines of text, the first ``left`` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(columns, *body, strict=True)]
    lines = []
    for row in (columns, tuple("─" * width for width in widths), *body):
        sized = enumerate(zip(row, widths, strict=True))
        lines.append("  ".join(cell.ljust(w) if k < left else cell.rjust(w) for k, (cell, w) in sized).rstrip())
    return "\n".join(lines)


def html_table(columns: tuple[str, ...], body: list[tuple[str, ...]], *, left: int = 1) -> str:
    """The same in HTML."""

    def cells(row: tuple[str, ...], tag: str) -> str:
        sides = ("left" if k < left else "right" for k in range(len(row)))
        return "".join(f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>' for cell, side in
                       zip(row, sides, strict=True))  # fmt: skip

    head = f"<thead><tr>{cells(columns, 'th')}</tr></thead>"
    lines = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in body)
    return f"<table>{head}<tbody>{lines}</tbody></table>"
