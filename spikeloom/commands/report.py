"""The command that writes a page about any network: report."""

from __future__ import annotations

import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import bars, need, percent, print_json, print_text, table, writable
from .convert import _arguments, _numbers, _pair
from .network import JsonOption

__all__ = ["report"]


def report(source: Annotated[Path, typer.Argument(metavar="NETWORK|DIR", help="Network file, or folder of a generated "
                                                                             "or built design.")],
           output: Annotated[Path | None, typer.Option("--output", "-o", help="Page to write; else NETWORK.html beside "
                                                                              "the file, or DIR/network.html.")] = None,
           test: Annotated[str | None, typer.Option(help="Images to measure on: digits, mnist:DIR, fashion:DIR, "
                                                         "cifar10:DIR, FILE.npz or a folder of image files; random "
                                                         "ones where left out.")] = None,
           n: Annotated[int | None, typer.Option("-n", min=1, help="So many of them at most; else 1,000.")] = None,
           model: Annotated[str | None, typer.Option(help="The float model that it was made of, as convert takes it: "
                                                          "what the integers cost is measured. It is "
                                                          "executed.")] = None,
           weights: Annotated[Path | None, typer.Option(help="State dict to load into it.")] = None,
           arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Argument for it; again for "
                                                                                    "more.")] = None,
           mean: Annotated[str | None, typer.Option(metavar="M,...", help="What the model takes off its images; else "
                                                                          "what the conversion was told.")] = None,
           std: Annotated[str | None, typer.Option(metavar="S,...", help="What it then divides them by.")] = None,
           pixel_range: Annotated[str | None, typer.Option(metavar="LOW,HIGH", help="What black and white are to "
                                                                                    "it.")] = None,
           json: JsonOption = False) -> None:
    """Write one page about a network: graph, accuracy at each step, histograms, confusion matrix, what every layer
    lost; of a design its folds and area too."""
    need("jinja2", "matplotlib", *(("torch",) if model is not None else ()))
    from .. import api

    if n is not None and test is None:
        raise typer.BadParameter("is for --test", param_hint="-n")
    if output is None:
        output = source / "network.html" if source.is_dir() else source.with_suffix(".html")
    if not source.exists():
        raise FileNotFoundError(2, "no such file or folder; give a network file or a generated design", str(source))
    given = {"arguments": _arguments(arg or []), "mean": _numbers("--mean", mean), "std": _numbers("--std", std),
             "pixel_range": _pair(_numbers("--pixel-range", pixel_range))}
    writable(output, folder=False, read=(source, test, (model or "").rpartition(":")[0], weights))
    with bars() as step, redirect_stdout(sys.stderr):  # what the user's file prints is no result
        found = api.report(source, output, test=test, images=n or 1000, model=model, weights=weights, progress=step,
                           command=shlex.join(["spikeloom", *sys.argv[1:]]), **given)
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    if json:
        print_json({**found.figures(), "report": output})
        return
    print_text(*_said(found), f"wrote {output}")


def _said(found: Any) -> list[Any]:
    """The figures that matter most."""
    said: list[Any] = []
    shares = {**found.recorded, **{f"{name}, {len(found.images.pixels):,} of {found.images.name}": share
                                   for name, share in found.measured.items()}}
    if shares:
        said.append(table("Accuracy", ("step", "accuracy"), [(name, percent(share)) for name, share in shares.items()]))
    if found.floats is not None and found.floats.agreement is not None:
        said.append(f"floats and integers agree in {percent(found.floats.agreement)} of the images")
    if found.layers:
        worst = max(found.layers, key=lambda layer: layer.added)
        said.append(f"most is lost in {worst.name}: {worst.decibels:.1f} dB signal to noise")
    return said
