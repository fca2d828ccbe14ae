"""The command that converts a trained model of any user's: convert."""

from __future__ import annotations

import ast
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import bars, need, print_json, print_text, writable
from .network import JsonOption

__all__ = ["convert"]


def convert(source: Annotated[str, typer.Argument(help="file.py:NAME or package.module:NAME, a torch.nn.Module, a "
                                                       "class or a function that gives one: the file is executed; or a "
                                                       "file NET.onnx or NET.nir, or one for another front "
                                                       "end.")],
            output: Annotated[Path, typer.Option("--output", "-o", help="Network file to write (.safetensors).")],
            weights: Annotated[Path | None, typer.Option(help="State dict (.pt, .pth, .safetensors) to load into it; "
                                                              "nothing in it is executed.")] = None,
            arg: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Argument for NAME; again for "
                                                                                     "more.")] = None,
            calibrate: Annotated[str | None, typer.Option(help="Images that set the ranges: digits, mnist:DIR, "
                                                               "fashion:DIR, cifar10:DIR, FILE.npz or a folder of "
                                                               "image files; random ones where left out.")] = None,
            images: Annotated[int, typer.Option(min=1, help="So many of them.")] = 512,
            test: Annotated[str | None, typer.Option(help="Images to compare floats and integers on; else the test "
                                                          "images of --calibrate.")] = None,
            n: Annotated[int, typer.Option("-n", min=1, help="So many of them at most.")] = 1000,
            method: Annotated[str | None, typer.Option(help="ptq, spiking or qcfs; else the one that fits the "
                                                            "activations, or, of NIR, none.")] = None,
            bits: Annotated[int | None, typer.Option(help="Bits of values between the layers.")] = None,
            weight_bits: Annotated[int | None, typer.Option(help="Bits of weights, 2 to 8.")] = None,
            first_bits: Annotated[int | None, typer.Option(help="Those of the first layer.")] = None,
            last_bits: Annotated[int | None, typer.Option(help="Those of the last layer.")] = None,
            shortcut_bits: Annotated[int | None, typer.Option(help="Those of projections in residual blocks.")] = None,
            steps: Annotated[int | None, typer.Option(help="Time steps T: a spiking network.")] = None,
            reconstruct: Annotated[int | None, typer.Option(help="Epochs over the images in which gradients move the "
                                                                 "integers.")] = None,
            rule: Annotated[str | None, typer.Option(help="causal, lossless or signed neurons.")] = None,
            mean: Annotated[str | None, typer.Option(metavar="M,...", help="What the model takes off its images, one "
                                                                           "or one a channel, of 0..1.")] = None,
            std: Annotated[str | None, typer.Option(metavar="S,...", help="What it then divides them by.")] = None,
            pixel_range: Annotated[str | None, typer.Option(metavar="LOW,HIGH", help="What black and white are to "
                                                                                     "the model; else 0,1.")] = None,
            input_shape: Annotated[str | None, typer.Option(metavar="C,H,W", help="Shape of an image, where no images "
                                                                                  "say it.")] = None,
            input_bits: Annotated[int | None, typer.Option(min=1, max=8, help="Bits of a pixel; else 8.")] = None,
            resize: Annotated[str | None, typer.Option(metavar="SIDE", help="Scale image files: H,W or the shorter "
                                                                            "side.")] = None,
            crop: Annotated[str | None, typer.Option(metavar="SIDE", help="Then cut out the middle: H,W or a "
                                                                          "square.")] = None,
            approximate: Annotated[bool, typer.Option("--approximate", help="Take sums of integers in a file that no "
                                                                            "network gives exactly as near as can be, "
                                                                            "and say how far off they are.")] = False,
            threads: Annotated[int, typer.Option(min=1, help="Threads of PyTorch.")] = 1,
            json: JsonOption = False) -> None:
    """Convert a trained model, of PyTorch, ONNX or NIR, to a network of integers, without training.

    A SOURCE of Python is executed, as "python FILE" would: convert only what you trust. Spikeloom downloads nothing.
    """
    ending = source.lower().rpartition(".")[2]
    need("torch", *{"onnx": ["onnx"], "nir": ["h5py"]}.get(ending, []))
    writable(output, folder=False, read=(source, source.rpartition(":")[0], weights, calibrate, test))
    import torch

    from .. import api

    torch.set_num_threads(threads)
    given: dict[str, Any] = {"steps": steps, "rule": rule, "bits": bits, "weight_bits": weight_bits,
                             "first_bits": first_bits, "last_bits": last_bits, "shortcut_bits": shortcut_bits,
                             "reconstruct": reconstruct}
    with bars() as step, redirect_stdout(sys.stderr):  # what the user's file prints is no result
        made = api.convert(
            source, weights=weights, arguments=_arguments(arg or []), calibrate=calibrate, test=test, images=images,
            test_images=n, method=method, mean=_numbers("--mean", mean), std=_numbers("--std", std),
            pixel_range=_pair(_numbers("--pixel-range", pixel_range)), shape=_sides("--input-shape", input_shape),
            input_bits=input_bits, resize=_sides("--resize", resize) or (), crop=_sides("--crop", crop) or (),
            approximate=approximate,
            notice=lambda text: typer.echo(f"warning: {text}", err=True), progress=step, **given)
    made.save(output)
    if json:
        print_json({"network": output, "hash": made.hash, "steps": made.steps, "method": made.method,
                    "accuracy": made.accuracy, "agreement": made.agreement, "facts": made.facts, "notes": made.notes,
                    "layers": [vars(layer) for layer in made.layers]})
        return
    print_text(made.summary(), f"\nwrote {output}")


def _arguments(given: list[str]) -> dict[str, Any]:
    """``NAME=VALUE`` as Python values, texts where they are none."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"must be NAME=VALUE, not {text!r}", param_hint="--arg")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[name] = value
    return found


def _numbers(option: str, text: str | None) -> list[float] | None:
    """Numbers with commas between them."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"must be numbers with commas between them, not {text!r}", param_hint=option) from None


def _pair(numbers: list[float] | None) -> tuple[float, float] | None:
    if numbers is None:
        return None
    if len(numbers) != 2:
        raise typer.BadParameter("must be two numbers, for black and for white", param_hint="--pixel-range")
    return numbers[0], numbers[1]


def _sides(option: str, text: str | None) -> list[int] | None:
    """Whole numbers of 1 or more, with commas or x between them."""
    if text is None:
        return None
    parts = text.replace("x", ",").split(",")
    if not all(part.strip().isdecimal() and 0 < int(part) < 1 << 16 for part in parts):
        raise typer.BadParameter(f"must be whole numbers with commas between them, not {text!r}", param_hint=option)
    if option != "--input-shape" and len(parts) > 2:
        raise typer.BadParameter(f"must be H,W or one number, not {text!r}", param_hint=option)
    return [int(part) for part in parts]
