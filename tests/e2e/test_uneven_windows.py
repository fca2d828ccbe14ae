"""Windows that differ in the two directions and at the sides, and dilation, with every kind of fold: golden model =
core models = RTL, and cycle law = RTL, in every cycle; and in emitted Verilog."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_operators import Maker, check, smallest

from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.gen.folding.fold import Fold
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, MaxPool, SumPool
from spikeloom.sim.verify import verify

WINDOWS: dict[str, dict[str, Any]] = {
    "sides": dict(stride=(2, 1), padding=(1, 2, 0, 1)),
    "dilated": dict(dilation=(2, 2), padding=(3, 1, 2, 0), stride=(1, 2)),
}
FOLDS = {"taps": Fold(2, 1, 1), "columns": Fold(1, 12, 1), "skipping": Fold(2, 2, 1, skip=True)}


def network(windows: dict[str, Any], pool: type, groups: int = 1) -> Network:
    """A convolution of 4 x 5 x 4 pixels, a pool with padding, a linear layer."""
    m = Maker((4, 5, 4))
    m.conv("uneven", (4, 4 // groups, 3, 2), groups=groups, **windows)
    m.fire(4)
    convolution = m.nodes[-2]
    node = pool(name="pool", source=m.end, kernel=(2, 3), stride=(2, 1), padding=(1, 0, 2, 1))
    assert isinstance(convolution, Conv2d)
    rows, columns = node.windows.places(convolution.windows.places((5, 4)))
    m.nodes.append(node)
    m.read("fc", m.end, 4 * rows * columns, 3)
    return Network(tuple(m.nodes), 2)


KEPT = ("sides", "skipping"), ("dilated", "columns")


@pytest.mark.parametrize(
    ("windows", "fold"),
    [pytest.param(w, f, marks=[pytest.mark.slow] * ((w, f) not in KEPT)) for w in WINDOWS for f in FOLDS],
)
def test_every_fold(windows: str, fold: str) -> None:
    made = network(WINDOWS[windows], MaxPool if fold == "taps" else SumPool)
    check(made, smallest(made) | {"uneven": FOLDS[fold], "pool": Fold(2, 2, 1)})


@pytest.mark.slow
@pytest.mark.parametrize("fold", [Fold(1, 1, 1), Fold(4, 4, 1)])
def test_groups(fold: Fold) -> None:
    made = network(WINDOWS["dilated"], SumPool, groups=2)
    check(made, smallest(made) | {"uneven": fold})


@pytest.mark.slow
@pytest.mark.parametrize("windows", WINDOWS)
def test_in_emitted_verilog(windows: str, tmp_path: Path) -> None:
    made = network(WINDOWS[windows], MaxPool)
    design = Design(made, auto(made, 300))
    contents = emit.write(design, tmp_path)
    frames = np.random.default_rng(3).integers(0, 4, (8, 4, 5, 4))
    run = verify(design, contents, tmp_path, frames, pauses=0.3, resets=((90, 1),))
    assert run.passed, str(run.differences[0])
