"""Numbers that hardware and hosts share are those of the documents: no test of them may import what it checks."""

import re
from pathlib import Path

from spikeloom.hdl.host.codes import REPLY, VERSION, Kind, Reason
from spikeloom.hdl.host.frames import CUT, CUT_WORD

TEXT = (Path(__file__).parents[2] / "docs" / "link.md").read_text()


def test_types_and_reasons_of_frames_are_those_of_the_document() -> None:
    kinds = re.findall(r"^\| 0x(\w\w) \| (\w+) \|.*?\| 0x(\w\w) \|", TEXT, re.MULTILINE)
    assert [(int(number, 16), name) for number, name, _ in kinds] == [(k.value, k.name) for k in Kind if k]
    assert all(int(reply, 16) == int(number, 16) + 0x80 for number, _, reply in kinds)
    reasons = re.findall(r"^\| (\d) (\w+) \| 0x(\w\w) \|", TEXT, re.MULTILINE)
    assert [(int(number), name) for number, name, _ in reasons] == [(r.value, r.name) for r in Reason if r]
    assert all(int(reply, 16) == 0x80 + 16 * int(number) for number, _, reply in reasons)
    assert (Kind.ERROR, Reason.GOOD, REPLY, VERSION, CUT, CUT_WORD) == (0, 0, 0x80, 1, 0x80, 0x80000000)
