"""Fold files: read and laid on a network, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import small
from fuzzing import ODD_VALUES, Format, changed, few, many, nested

from spikeloom.gen.design import Design
from spikeloom.gen.folding.find import with_given
from spikeloom.gen.folding.fold import folds_toml, read_folds

NETWORK = small.network()
TEXT = folds_toml(small.FOLDS)


def write(rng: np.random.Generator, folder: Path) -> Path:
    """A fold file with a few changes."""
    path, lines = folder / "fold.toml", TEXT.splitlines()
    match int(rng.integers(4)):
        case 0:
            odd = ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
            at = int(rng.integers(len(lines)))
            lines[at] = f"{lines[at].partition('=')[0]}= {json.dumps(odd)}"
            path.write_text("\n".join(lines))
        case 1:
            lines[int(rng.integers(len(lines)))] = f"x = {nested(rng, '[', ']')}"
            path.write_text("\n".join(lines))
        case _:
            path.write_bytes(changed(rng, TEXT.encode()))
    return path


def read(path: Path) -> None:
    """As ``generate --fold`` does."""
    Design(NETWORK, with_given(NETWORK, read_folds(path)))


FORMATS = {"folds": Format(write, read)}


def test_a_few_inputs() -> None:
    few(FORMATS["folds"])


@pytest.mark.slow
def test_many_inputs() -> None:
    many(__file__, "folds")
