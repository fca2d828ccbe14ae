"""What never waits says so: such a stream has no ready that anyone could drive or ask for."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.lib import stream

from spikeloom.hdl.cores.merge.core import Merge
from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.cores.window.core import Window
from spikeloom.hdl.cores.window.sparse import SparseWalk
from spikeloom.hdl.cores.window.spec import WindowSpec
from spikeloom.hdl.host.cobs import CobsDecoder
from spikeloom.hdl.host.codes import Kind
from spikeloom.hdl.host.packets import PacketMemory, PacketReceiver
from spikeloom.hdl.host.uart import BitRate, UartReceiver
from spikeloom.hdl.streams.pipe import Pipe
from spikeloom.hdl.streams.words import WordFormat

FORM = WordFormat(1, 1, 0, 3)
WINDOW = WindowSpec(
    i_format=FORM, channels=1, height=4, width=4, kernel=(2, 2), order="taps", groups=1, scans=1,
    credits=1, rows=3,
)  # fmt: skip
MERGE = MergeSpec(
    gain=np.array([2]), first=0, channels=1, shortcut_format=FORM, i_format=FORM, scans=1, result_words=1,
    ranges=np.array([[0, 3]]), depth=2,
)  # fmt: skip
NEVER_WAIT = {
    "decoder": (CobsDecoder(), "io"),
    "merge": (Merge(MERGE), "io"),
    "packets": (PacketReceiver({Kind.STATUS: 0}, 16), "i"),
    "pipe": (Pipe(4, 5), "io"),
    "receiver": (UartReceiver(BitRate(4e6, 1e6)), "o"),
    "walk": (SparseWalk(replace(WINDOW, i_format=FORM, channels=2, chunk=2), 4, 2), "o"),
    "window": (Window(WINDOW), "o"),
}


@pytest.mark.parametrize("name", NEVER_WAIT)
def test_a_stream_that_never_waits_says_so(name: str) -> None:
    core, ports = NEVER_WAIT[name]
    for port in "io":
        found = getattr(core, port, None)
        if isinstance(found, stream.Interface):
            assert found.signature.always_ready == (port in ports), f"{name}.{port}"


def test_a_flag_is_one_bit() -> None:
    memory = PacketMemory(8)
    assert [len(getattr(memory, flag)) for flag in ("write", "commit", "rollback", "drop", "full")] == [1] * 5
    for name, flags in {"decoder": ["error"], "packets": ["reset", "good", "bad"], "receiver": ["rx", "error"],
                        "merge": ["hold", "scanned"], "window": ["taken", "hold", "scanned"]}.items():  # fmt: skip
        assert [len(getattr(NEVER_WAIT[name][0], flag)) for flag in flags] == [1] * len(flags), name
