"""Random networks, folds, pauses and resets: golden model = core models = RTL, and cycle law = RTL, in every cycle."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from random_networks import designs, runs
from same_law import laws_agree
from small_packing import pack_all

from spikeloom.gen.design import Design, Top
from spikeloom.quant import golden
from spikeloom.sim.compare import compare
from spikeloom.sim.predict import boundary_infos, golden_words, predict
from spikeloom.sim.simulators.amaranth_sim import run_amaranth

SHARDS = 4


def check(design: Design, data: st.DataObject) -> None:
    """One case: all three models give the same words, and RTL moves each of them in the predicted cycle."""
    run = data.draw(runs(design))
    words = golden_words(design, golden.run(design.network, run.frames).outputs)
    models = design.compute(run.frames)
    for name, expected in words.items():
        assert np.array_equal(models[name], expected), f"{name}: core models differ from the golden model"
    expected = predict(design, run.stimulus, words)
    laws_agree(design, run.stimulus, words)
    top = Top(design)
    got = run_amaranth(top, top.boundaries, run.stimulus, top.outs, top.lasts)
    differences = compare(expected, got, boundary_infos(design), run.stimulus.resets)
    assert not differences, "\n".join(map(str, differences))
    assert any(len(t.cycles) for t in got.boundaries.values())


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_designs(shard: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_all(monkeypatch)
    cases = int(request.config.getoption("--cases"))

    @seed(shard)
    @settings(
        max_examples=-(-cases // SHARDS),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(designs(), st.data())
    def run(design: Design, data: st.DataObject) -> None:
        check(design, data)

    run()
