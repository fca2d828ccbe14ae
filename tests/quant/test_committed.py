"""The networks in models/: each has a row in models/README.md, and was made by the recipe that stands there."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from spikeloom.quant.ir import netfile
from spikeloom.quant.recipe import read

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\S+)\.safetensors` \| `spikeloom train (examples/\S+\.toml)", re.MULTILINE)
MADE = dict(ROW.findall((ROOT / "models" / "README.md").read_text()))


def test_every_network_has_a_row() -> None:
    assert sorted(MADE) == sorted(path.stem for path in (ROOT / "models").glob("*.safetensors"))


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_recipe_in_a_network_is_the_one_in_examples(name: str) -> None:
    meta = netfile.load(ROOT / "models" / f"{name}.safetensors").meta
    followed, wanted = json.loads(meta["recipe"]), asdict(read(ROOT / MADE[name]))
    for recipe in (followed, wanted):
        assert recipe.pop("data").partition(":")[0] == meta["data"]
    assert followed == _common(wanted, followed), "but for keys that came later"
    assert json.loads(meta["accuracy"])


def _common(wanted: Any, followed: Any) -> Any:
    """``wanted`` without the keys of its tables that ``followed`` lacks."""
    if not (isinstance(wanted, dict) and isinstance(followed, dict)):
        return wanted
    return {key: _common(value, followed[key]) for key, value in wanted.items() if key in followed}
