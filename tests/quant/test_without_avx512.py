"""Training and calibration on a processor without AVX-512, and on one without AVX2: the same tests once more, in a
process in which oneDNN and PyTorch take the kernels that they have for these."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = [
    "test_dual_phase.py::test_weights_are_tuned_towards_the_target[kl]",
    "test_dual_phase.py::test_membranes_are_the_papers",
    "test_integer_start.py::test_shortcuts_without_weights_are_gains_before_the_one_quantiser[True-4]",
    "test_train.py::test_a_short_training_learns_and_reports",
]


@pytest.mark.parametrize(
    ("onednn", "torch"), [("AVX2", "avx2"), pytest.param("SSE41", "default", marks=pytest.mark.slow)]
)
def test_training_is_right(onednn, torch, tmp_path):
    limits = {"ONEDNN_MAX_CPU_ISA": onednn, "ATEN_CPU_CAPABILITY": torch, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "tests")]
    done = subprocess.run([*command, *(str(HERE / name) for name in TESTS)], env=os.environ | limits,
                          cwd=HERE.parents[1], timeout=300, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
