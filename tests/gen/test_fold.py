"""Folds as text: what a table, a line and a file say, and that a file and JSON give the same folds back."""

from __future__ import annotations

import json
from pathlib import Path

from spikeloom.gen.folding.fold import Fold, dump_folds, folds_line, folds_toml, parse_folds, read_folds

FOLDS = {"conv1": Fold(8, 3, 1, skip=True), "a.b": Fold(1, 4, 2, logic=True), "fc": Fold(5, 1, 1, True, True)}


def test_a_fold_is_printed_in_one_way() -> None:
    assert list(map(str, FOLDS.values())) == ["8 x 3 x 1, skip", "1 x 4 x 2, logic", "5 x 1 x 1, skip, logic"]
    assert FOLDS["fc"].text("×", flags=["skip"]) == "5×1×1, skip"
    assert folds_line(FOLDS) == "conv1=8x3x1 skip; a.b=1x4x2 logic; fc=5x1x1 skip logic"


def test_files_and_json_give_the_same_folds_back(tmp_path: Path) -> None:
    (tmp_path / "fold.toml").write_text(folds_toml(FOLDS))
    assert read_folds(tmp_path / "fold.toml") == FOLDS
    assert folds_toml({"a": FOLDS["a.b"]}) == '["a"]\noutputs = 1\ninputs = 4\nsteps = 2\nlogic = true\n'
    assert parse_folds(json.loads(json.dumps(dump_folds(FOLDS))), "here") == FOLDS
    assert parse_folds({"fc": {"outputs": 5, "inputs": 1, "steps": 1}}, "here") == {"fc": Fold(5, 1, 1)}
