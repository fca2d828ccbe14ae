"""``spikeloom convert NET.nir`` and ``spikeloom export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nir", reason="the extra 'nir' is not installed")

from nir_graphs import causal

from spikeloom import api


def test_a_network_goes_out_and_comes_back(cli: Callable[..., Any], tmp_path: Path) -> None:
    network, net, out = causal(1), tmp_path / "net.safetensors", tmp_path / "out.nir"
    api.save(network, net)
    assert cli("export", net, "-o", out).status == 0
    ran = cli("convert", out, "-o", tmp_path / "back.safetensors")
    assert ran.status == 0, ran.err
    text = " ".join(ran.out.split())
    assert "method none: nir reads neurons as they are" in text and "integers as they are, and so are" in text
    back = api.load(tmp_path / "back.safetensors")
    assert back.hash == network.hash and str(tmp_path) not in str(back.meta)
    assert cli("convert", out, "-o", net, "--steps", 3, "--json").json["steps"] == 3


def test_refusals_say_what_to_do(cli: Callable[..., Any], tmp_path: Path) -> None:
    net, out = tmp_path / "net.safetensors", tmp_path / "out.nir"
    api.save(causal(1, v0=4), net)
    cli("export", net, "-o", out).refused("a.fire: begins at membranes that are not 0", "--force")
    assert not out.exists() and cli("export", net, "-o", tmp_path / "out.h5").status == 2
    assert cli("export", net, "-o", out, "--force").status == 0
    for option, value, message in (
        ("--bits", 4, "nir: reads neurons as they are, unless a method"),
        ("--mean", 0.5, "image: says that it takes the integers 0..15; leave out"),
        ("--method", "ptq", "image: an image of integers with a method"),
        ("--weight-bits", 9, "out.nir: weight_bits (--weight-bits) must be in 2..8"),
    ):
        cli("convert", out, "-o", tmp_path / "other.safetensors", option, value).refused(message)
