"""The picture of a network's graph as SVG: a row for every node, from the image down; what is taken further down, as by
a shortcut, runs beside the boxes."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup, escape

from ..quant.ir.network import Network
from ..quant.ir.node import Node
from ..quant.ir.ops import Synapse

__all__ = ["Row", "graph", "rows"]

WIDE, LINE = 236, 26
"""Pixels of a column with boxes in it, and of one that lines alone pass."""

HIGH, GAP, EDGE = 40, 18, 4
"""Pixels of a box, between two of them, and around the picture."""


@dataclass(frozen=True)
class Row:
    """A ``node`` in its ``column``; ``before`` and ``after``, the columns of the results that pass above it and beside
    it, by the name of the node that gave them."""

    node: Node
    column: int
    before: dict[str, int]
    after: dict[str, int]


def rows(network: Network) -> list[Row]:
    """Where every node stands. One that is the last to take a result stands below it; else that result moves aside."""
    left = {name: len(takers) for name, takers in network.takers.items()}
    live, found = dict[str, int](), list[Row]()
    for node in network:
        sources, before = list(dict.fromkeys(node.sources)), dict(live)
        for source in sources:
            left[source] -= 1
        ended = [live.pop(source) for source in sources if not left[source]]
        column = min(ended) if ended else before[sources[0]] if sources else 0
        for name, place in live.items():
            if place == column:
                live[name] = next(c for c in range(len(live) + 2) if c != column and c not in live.values())
        found.append(Row(node, column, before, dict(live)))
        if left[node.name]:
            live[node.name] = column
    return found


def graph(network: Network) -> Markup:
    """The picture, in the colours of ``page.css``."""
    placed = rows(network)
    columns = 1 + max(max([row.column, *row.before.values(), *row.after.values()]) for row in placed)
    boxes = {row.column for row in placed}
    widths = [WIDE if column in boxes else LINE for column in range(columns)]
    middles = [EDGE + sum(widths[:column]) + widths[column] / 2 for column in range(columns)]
    lines, drawn = dict[str, list[str]](), list[str]()
    for k, row in enumerate(placed):
        top = EDGE + k * (HIGH + GAP)
        for name, column in row.before.items():
            path, start = lines.setdefault(network.signals[name].kind, []), middles[column]
            if name in row.node.sources:
                path.append(_curve(start, middles[row.column], top - GAP, top))
            if name in row.after:
                path.append(_curve(start, middles[row.after[name]], top - GAP, top) + f"V{top + HIGH}")
        drawn.append(_box(network, row.node, middles[row.column], top))
    paths = [f'<path class="edge {kind}" d="{"".join(parts)}"/>' for kind, parts in lines.items() if parts]
    wide, high = sum(widths) + 2 * EDGE, len(placed) * (HIGH + GAP) - GAP + 2 * EDGE
    return Markup(f'<svg class="graph" viewBox="0 0 {wide} {high}" style="max-width:{wide}px" role="img" '
                  f'aria-label="the graph of the network">{"".join(paths)}{"".join(drawn)}</svg>')


def _curve(start: float, end: float, top: float, bottom: float) -> str:
    middle = (top + bottom) / 2
    straight = f"M{start:g} {top}V{bottom}"
    return straight if start == end else f"M{start:g} {top}C{start:g} {middle:g} {end:g} {middle:g} {end:g} {bottom}"


def _box(network: Network, node: Node, middle: float, top: float) -> str:
    signal, left = network.signals[node.name], middle - WIDE / 2 + 4
    shape = "×".join(map(str, signal.shape if signal.shape[1:] != (1, 1) else signal.shape[:1]))
    kind, more = type(node).__name__, f"{signal.low:,}..{signal.high:,}"
    role = "active" if node.activation else "weights" if isinstance(node, Synapse) else "plain"
    what = f"{kind}, {node.weight_bits} bits" if isinstance(node, Synapse) else kind
    takes = ", ".join(node.sources) or "the image"
    title = escape(f"{node.name}: {kind}, takes {takes}, gives {signal.kind}, {shape}, {more}")
    name = escape(_short(node.name, 27 - len(shape)))
    right = left + WIDE - 8
    return (f'<g class="node {role}"><title>{title}</title><rect x="{left:g}" y="{top}" width="{WIDE - 8}" '
            f'height="{HIGH}" rx="6"/><text x="{left + 10:g}" y="{top + 17}">{name}</text>'
            f'<text class="soft" x="{left + 10:g}" y="{top + 32}">{escape(_short(what, 30 - len(more)))}</text>'
            f'<text class="soft end" x="{right - 10:g}" y="{top + 17}">{shape}</text>'
            f'<text class="soft end" x="{right - 10:g}" y="{top + 32}">{more}</text></g>')


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most - most // 2 - 1):]}"
