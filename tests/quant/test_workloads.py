"""The standing workloads: all 397 digits, logit for logit; and the shift-based batch norm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeloom.quant import golden
from spikeloom.quant.conversion.shift_norm import shift_batch_norm
from spikeloom.quant.ir.ops import NetworkError, Requant
from spikeloom.quant.ir.workloads import from_workload, workload_frames

FILE = Path(__file__).parents[2] / "benchmarks" / "digits-w4a4.npz"


@pytest.mark.parametrize(("prefix", "correct"), [("mlp", 387), ("cnn", 367)])
def test_golden_gives_the_published_logits(prefix: str, correct: int) -> None:
    frames, labels, logits = workload_frames(FILE, prefix)
    result = golden.run(from_workload(FILE, prefix), frames)
    assert len(frames) == 397 and np.array_equal(result.logits, logits)
    assert int((result.classes == labels).sum()) == correct


def test_bad_workload_files_are_named(tmp_path) -> None:
    with pytest.raises(NetworkError, match=r"Workload 'rnn' is unknown; supported: mlp, cnn"):
        from_workload(FILE, "rnn")
    with pytest.raises(NetworkError, match=r"none\.npz: no such file"):
        from_workload(tmp_path / "none.npz", "mlp")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(NetworkError, match=r"other\.npz: has no mlp_w0; not a workload file"):
        from_workload(tmp_path / "other.npz", "mlp")
    (tmp_path / "cut.npz").write_bytes(FILE.read_bytes()[:999])
    with pytest.raises(NetworkError, match=r"cut\.npz: not a readable workload file"):
        from_workload(tmp_path / "cut.npz", "mlp")


def test_shift_batch_norm_follows_the_equations() -> None:
    # Between two shifts log2(sigma) is rounded half to even: 4.5 to 4.
    assert np.log2(2**4.5) == 4.5
    norm = shift_batch_norm(np.array([0.5, 1.5, -2.5, 3.2]), np.array([64.0, 0.25, 2**4.5, 1024.0]), 4)
    assert norm.bias.tolist() == [0, 2, -2, 3]
    assert norm.shift.tolist() == [6 + 2 - 4, -2 + 2 - 4, 4 + 2 - 4, 10 + 2 - 4]
    assert (norm.lo, norm.hi) == (0, 15)
    norm = shift_batch_norm(np.array([0.0]), np.array([64.0]), 4, signed=True)
    assert norm.shift.tolist() == [6 + 3 - 4] and (norm.lo, norm.hi) == (-7, 7)
    Requant(name="q", **norm._asdict())


@pytest.mark.parametrize(
    ("mean", "std", "bits", "message"),
    [
        ([0.0, 1.0], [1.0, 0.0], 4, r"norm3: channel 1 is dead \(std 0\)"),
        ([0.0, np.nan], [1.0, 1.0], 4, r"norm3: mean nan and std 1\.0 of channel 1 are not finite"),
        ([0.0], [1.0, 1.0], 4, r"norm3: mean and std must have one value a channel"),
        ([0.0], [1.0], 9, r"norm3: bits must be in 1\.\.8, not 9"),
    ],
)
def test_shift_batch_norm_refuses(mean: list, std: list, bits: int, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        shift_batch_norm(np.array(mean), np.array(std), bits, name="norm3")
