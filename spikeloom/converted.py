"""What a conversion gives: the integer network, and how it was made of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .quant.files.folders import portable
from .quant.ir import netfile
from .quant.ir.network import Network
from .quant.ir.summary import as_html, as_text, html_table, text_table
from .quant.lost import Account, kept, kept_accuracy, kept_layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .quant.convert import Result

__all__ = ["Converted"]


@dataclass(frozen=True)
class Converted(Network, Account):
    """An integer network with what its conversion found; every function that takes a Network takes it. Its ``meta``
    keeps accuracy and layers, for a report of the file.

    Attributes: those of a Network, and those of ``quant.lost.Account``.
    """

    @classmethod
    def of(cls, result: Result, before: Sequence[str] = ()) -> Converted:
        """The same of what ``quant.convert`` gives, with notes ``before`` its own."""
        network, account = result.network, result.account
        facts = {key: value for key, value in account.facts.items() if value}
        meta = kept(account.accuracy, account.layers) | network.meta
        if tested := facts.get("tested on"):
            count, _, name = tested.partition(" of ")
            meta.setdefault("tested", f"{count} of {portable(name)}")
        account = replace(account, facts=facts, notes=(*before, *account.notes))
        return cls(network.nodes, network.steps, meta, **vars(account))

    @classmethod
    def of_file(cls, network: Network) -> Converted:
        """A ``network`` that was read, with what its ``meta`` keeps of its conversion or training. Raises LostError
        where that is something else."""
        meta = network.meta
        account = Account(method=meta.get("method", ""), layers=kept_layers(meta), accuracy=kept_accuracy(meta))
        return cls(network.nodes, network.steps, meta, **vars(account))

    @cached_property
    def network(self) -> Network:
        """The network alone."""
        return Network(self.nodes, self.steps, self.meta)

    def save(self, path: str | Path) -> None:
        """Write the network file, in one go."""
        netfile.save(self.network, path)

    @property
    def worst(self) -> str:
        """The name of the layer that adds most noise to what it takes, empty where nothing was measured."""
        return max(self.layers, key=lambda layer: layer.added).name if self.layers else ""

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Columns and rows of the table of layers: those columns alone of which something is known."""
        shown: list[tuple[str, str, Any]] = [
            ("signal to noise", "decibels", _decibels), ("its levels alone", "alone", _decibels),
            ("clipped", "clipped", _percent), ("silent channels", "silent", _percent)]
        shown = [c for c in shown if any(getattr(layer, c[1]) is not None for layer in self.layers)]
        body = [(layer.name, *(form(getattr(layer, key)) for _, key, form in shown)) for layer in self.layers]
        return ("layer", *(title for title, _, _ in shown)), body

    def answers(self) -> list[tuple[str, str]]:
        """What the conversion costs, in words and figures."""
        found = [(f"accuracy of the {name}", _percent(share)) for name, share in self.accuracy.items()]
        if self.agreement is not None:
            found.append(("integers and floats agree", _percent(self.agreement)))
        return found

    def summary(self) -> str:
        """What the model was taken to be, what the conversion costs, layer by layer, and the nodes of the network."""
        facts = [*self.facts.items(), *self.answers()]
        wide = max((len(name) for name, _ in facts), default=0)
        parts = ["\n".join(f"{name:<{wide}}  {value}" for name, value in facts)]
        parts += [f"note: {note}" for note in self.notes]
        if self.layers:
            parts.append(f"{text_table(*self.rows())}\nmost is lost in {self.worst}")
        return "\n\n".join(part for part in (*parts, as_text(self.network)) if part)

    def _repr_html_(self) -> str:
        facts = [(name, value) for name, value in (*self.facts.items(), *self.answers())]
        notes = "".join(f"<p><b>note:</b> {escape(note)}</p>" for note in self.notes)
        layers = html_table(*self.rows()) if self.layers else ""
        head = html_table(("conversion", ""), facts, left=2) if facts else ""
        return f"{head}{notes}{layers}{as_html(self.network)}"

    def plot(self) -> Figure:
        """A picture of the layers' signal to noise, and of the accuracy where it is known; needs the extra ``report``.

        In a notebook it is shown where it is the last value of a cell; elsewhere ``plot().savefig("layers.png")``."""
        from matplotlib.figure import Figure

        figure = Figure((7.0, self._tall), layout="constrained")
        panels = figure.subplots(1, 2, width_ratios=[3, 1], squeeze=False)[0]
        self._draw_layers(panels[0])
        shares = dict(self.accuracy) or ({} if self.agreement is None else {"agreement": self.agreement})
        panels[1].bar(list(shares), [100 * share for share in shares.values()], color="#3a9d6e")
        panels[1].set_ylim(0, 100)
        panels[1].set_ylabel("%")
        for name, share in shares.items():
            panels[1].annotate(f"{100 * share:.1f}", (name, 100 * share), ha="center", va="bottom")
        for panel in panels:
            panel.spines[["top", "right"]].set_visible(False)
        return figure

    def plot_layers(self) -> Figure:
        """The picture of the layers alone."""
        from matplotlib.figure import Figure

        figure = Figure((5.4, self._tall), layout="constrained")
        axes = figure.subplots()
        self._draw_layers(axes)
        axes.spines[["top", "right"]].set_visible(False)
        return figure

    @property
    def _tall(self) -> float:
        return 1.4 + 0.28 * max(4, len(self.layers))

    def _draw_layers(self, axes: Axes) -> None:
        names, noise = [layer.name for layer in self.layers], [layer.decibels for layer in self.layers]
        axes.barh(names, noise, color=["#d9822b" if name == self.worst else "#3f7fc1" for name in names])
        axes.invert_yaxis()
        axes.set_xlabel("signal to noise, dB")


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} dB"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"
