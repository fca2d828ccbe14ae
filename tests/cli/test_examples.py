"""``spikeloom examples`` copies what the package brings, and missing packages are named so that pip finds them."""

from __future__ import annotations

from importlib.metadata import metadata
from pathlib import Path

from spikeloom.quant.extras import EXTRAS, missing
from spikeloom.quant.ir import netfile
from spikeloom.quant.recipe import read

ROOT = Path(__file__).parents[2]


def test_the_examples_are_those_of_the_repository(cli, tmp_path):
    written = cli("examples", tmp_path / "new", "--json").json["files"]
    names = {str(Path(file).relative_to(tmp_path / "new")) for file in written}
    kinds = ("*.toml", "*.yml", "repository/**/*.*", "face_detector/*.*", "segmentation/*.*")
    wanted = {str(path.relative_to(ROOT / "examples")) for kind in kinds
              for path in (ROOT / "examples").glob(kind) if "__pycache__" not in path.parts}  # fmt: skip
    assert names == wanted | {"models/digits-t4w4.safetensors"} and len(names) > 20
    for name in wanted:
        assert (tmp_path / "new" / name).read_bytes() == (ROOT / "examples" / name).read_bytes()
    assert read(tmp_path / "new" / "digits.toml").data == "digits"
    assert netfile.load(tmp_path / "new" / "models" / "digits-t4w4.safetensors").steps == 4


def test_nothing_is_overwritten_unasked(cli, tmp_path):
    (tmp_path / "digits.toml").write_text("mine")
    cli("examples", tmp_path).refused("digits.toml: is there already", "--force")
    assert (tmp_path / "digits.toml").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
    assert cli("examples", tmp_path, "--force").status == 0
    assert (tmp_path / "digits.toml").read_text() != "mine"


def test_what_is_missing_is_named_as_pip_knows_it():
    assert missing("serial") == ("the Python package serial is missing; run: pip install 'pyserial>=3.5' (the extra "
                                 "'host')")
    assert missing("nothing_of_ours") is None
    extras = set(metadata("spikeloom").get_all("Provides-Extra") or [])
    assert set(EXTRAS.values()) <= extras
    for package in EXTRAS:
        text = missing(package)
        assert text is not None and "pip install '" in text and "spikeloom[" not in text, package
