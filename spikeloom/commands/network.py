"""Commands that work on networks: train, eval and export."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import bars, figures_of, need, note_model, percent, print_json, print_text, table, writable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["JsonOption", "eval_", "export", "train", "write_outputs"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, to stdout.")]


def train(recipe: Annotated[Path, typer.Argument(help="TOML file: data, model, method, steps, bits, epochs.")],
          output: Annotated[Path, typer.Option("--output", "-o", help="Network file to write (.safetensors).")],
          data: Annotated[str | None, typer.Option(help="digits, mnist:DIR, fashion:DIR or cifar10:DIR, in place of "
                                                        "the recipe's.")] = None,
          held_out: Annotated[int | None, typer.Option(min=1, help="Keep the last so many training images out and "
                                                                   "test on them, not on the test images.")] = None,
          threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch; the result depends on them.")] = 1,
          device: Annotated[str, typer.Option(help="auto (CUDA where there is any), cpu or cuda.")] = "auto",
          restart: Annotated[bool, typer.Option("--restart", help="Forget the checkpoint and begin again.")] = False,
          json: JsonOption = False) -> None:
    """Train a network by a recipe and write it as a network of integers.

    A checkpoint is kept beside the output; the same command, run again after a kill, continues from it. Several GPUs
    or processes: torchrun --nproc-per-node N -m spikeloom train ...
    """
    from .. import api
    from ..quant.recipe import read

    followed = read(recipe)
    followed = followed if data is None else replace(followed, data=data)
    need("torch", *(("sklearn",) if followed.data == "digits" else ()))
    writable(output, folder=False, read=(recipe, data))
    from ..quant.training.checkpoint import Checkpoint

    checkpoint = Checkpoint(output.with_name(f"{output.name}.checkpoint"))
    with bars() as step:
        trained = api.train(
            followed, held_out=held_out, threads=threads, device=device, checkpoint=checkpoint.path,
            restart=restart, notice=lambda text: typer.echo(text, err=True),
            tested=lambda done, total: step("golden model", done, total),
            progress=lambda phase, done, total, figures: step(f"{phase}, {figures_of(figures)}", done, total))
    if os.environ.get("RANK", "0") != "0":  # torchrun's first process alone writes and reports
        return
    held_out = held_out or followed.held_out
    api.save(trained.network, output)
    checkpoint.remove()
    report, network = trained.report, trained.network
    if json:
        print_json({"network": output, "hash": network.hash, "steps": network.steps, "kind": followed.kind,
                    "accuracy": report.accuracy, "lost": report.lost(), "seconds": report.seconds})
        return
    lost, images = report.lost(), f"{held_out} held-out training images" if held_out else "the test images"
    print_text(table(f"Accuracy on {images} of {followed.data}", ("step", "accuracy", "lost"),
                     [(name, percent(share), f"{100 * lost[name]:+.2f}" if name in lost else "")
                      for name, share in report.accuracy.items()]),
               f"{output}: {followed.kind}, T = {network.steps}, hash {network.hash[:16]}, "
               f"{sum(report.seconds.values()):.1f} s of training")


def export(network: Annotated[Path, typer.Argument(help="Network file, spiking, of rule causal.")],
           output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.nir).")],
           force: Annotated[bool, typer.Option("--force", help="Write initial membranes too, which other tools do not "
                                                               "read: they begin at 0.")] = False) -> None:
    """Write a network for other tools, as a graph of NIR in integers (docs/nir.md)."""
    from .. import api

    need("nir")
    if output.suffix.lower() != ".nir":
        raise typer.BadParameter(f"must be a file .nir, not {output.name!r}", param_hint="--output")
    writable(output, folder=False, read=(network,))
    api.export(api.load(network), output, force=force)
    print_text(f"wrote {output}")


def write_outputs(path: Path, outputs: dict[str, np.ndarray]) -> None:
    """Write ``outputs`` by name, whatever names they have: NumPy's own function takes some for its arguments."""
    import zipfile

    import numpy as np

    from ..quant.files.replacing import replacing

    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in outputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def eval_(network: Annotated[Path, typer.Argument(help="Network file.")],
          data: Annotated[str, typer.Option(help="digits, mnist:DIR, fashion:DIR, cifar10:DIR, FILE.npz or a "
                                              "folder of images.")],
          n: Annotated[int | None, typer.Option("-n", min=1, help="Test images; all where left out.")] = None,
          output: Annotated[Path | None, typer.Option("--output", "-o", help="A .npz file of what the network gives: "
                                                      "maps (N, C, H, W), logits (N, C), by name.")] = None,
          json: JsonOption = False) -> None:
    """Measure a network's golden model, integers executed by PyTorch, or by NumPy without it: accuracy, or the range of
    maps, spikes, operations."""
    from .. import api

    if output is not None:
        writable(output, folder=False, read=(network, data))

    loaded = api.load(network)
    images = api.frames(loaded, data, n)
    model = note_model()
    with bars() as step:
        found = api.evaluate(loaded, images, progress=lambda done, total: step("golden model", done, total),
                             source=data)
    if output is not None:
        write_outputs(output, api.outputs(loaded, images.pixels))
    if json:
        print_json({"network": network, "hash": loaded.hash, "data": data, "model": model, **found})
        return
    if loaded.classifies:
        print_text(f"{network}: {percent(found['accuracy'])} of {found['frames']} images of {data}")
    else:
        rows = [(name, *(f"{end:,}" for end in ends)) for name, ends in found["maps"].items()]
        print_text(f"{network}: {loaded.gives}, {found['frames']} images of {data}",
                   table("Maps", ("map", "least", "largest"), rows))
    if loaded.steps > 1 and loaded.classifies:
        print_text(table("After t time steps", ("t", "accuracy"),
                         [(t, percent(share)) for t, share in enumerate(found["over_time"], 1)]))
    print_text(
        table("Synapses, an image", ("layer", "input", "rate", "operations", "nJ"),
              [(layer["name"], layer["input"], f"{layer['rate']:.3f}", f"{layer['operations']:,.0f}",
                f"{layer['picojoules'] / 1000:,.1f}") for layer in found["layers"]]),
        f"{found['operations']:,.0f} synaptic operations, {found['nanojoules']:,.1f} nJ; the ANN of these layers: "
        f"{found['ann_operations']:,} multiply-accumulates, {found['ann_nanojoules']:,.1f} nJ",
        "rate: spikes a neuron and time step, of values the share that is not zero; 0.9 pJ an accumulation, 4.6 pJ a "
        "multiply-accumulate (45 nm, 32-bit floating point, as in the papers)",
        *([] if output is None else [f"wrote {output}"]))
