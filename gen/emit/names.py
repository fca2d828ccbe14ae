"""Names in Verilog: identifiers made of any text, each used once, and the names of a design's modules and files.

An identifier has letters, digits and single underscores. So two underscores in a row stand in no name but where they
separate the parts of a port (``i__valid``), and no name needs Verilog's escape.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import PlanError
from ..folding.fold import dump_folds

if TYPE_CHECKING:
    from ..design import Design

__all__ = ["DEFAULT_FILE", "RESERVED", "Namespace", "axi_file", "check_name", "default_name", "identifier", "rom_file"]

DEFAULT_FILE = "spikeloom_top.v"
"""The file of a design without a name of its own."""

LONGEST = 64
"""Letters of an identifier that is made of other text; the longest name of a design."""

_WORDS = """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind
    bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config const
    constraint context continue cover covergroup coverpoint cross deassign default defparam design disable dist do edge
    else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface endmodule
    endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask enum event eventually expect
    export extends extern final first_match for force foreach forever fork forkjoin function generate genvar global
    highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input
    inside instance int integer interconnect interface intersect join join_any join_none large let liblist library local
    localparam logic longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
    noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority program
    property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase
    randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0
    rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
    signed small soft solve specify specparam static string strong strong0 strong1 struct super supply0 supply1
    sync_accept_on sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri
    tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var
    vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor"""

RESERVED = frozenset(_WORDS.split())
"""Words of Verilog and SystemVerilog (IEEE 1800-2017, annex B)."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")


def identifier(text: str, prefix: str = "n", *, words: bool = False) -> str:
    """Return ``text`` as an identifier: what is no letter or digit of ASCII becomes an underscore.

    ``prefix`` stands for a text of which nothing is left, and comes before a digit and before a reserved word, unless
    the identifier is the end of a longer one, in which both may be (``words``).
    """
    found = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:LONGEST].rstrip("_")
    if not found or words:
        return found or prefix
    return f"{prefix}_{found}" if found[0].isdigit() or found.lower() in RESERVED else found


def check_name(name: str) -> str:
    """Return ``name``. Raises PlanError where it cannot be that of a design."""
    rule = None
    if not _NAME.fullmatch(name):
        rule = "has letters, digits and single underscores, and begins with a letter"
    elif len(name) > LONGEST:
        rule = f"has {LONGEST} letters at most"
    elif name.lower() in RESERVED:
        rule = "is not a reserved word of Verilog"
    if rule:
        raise PlanError(f"{name!r} cannot name a design: a name {rule}, such as digits_core")
    return name


def default_name(design: Design, target: str) -> str:
    """The name of a design that was given none, which also begins those of all its modules: ``spikeloom_`` and 8
    hexadecimal digits of a hash of network, folds, form of the words and target.

    So two designs in one project have no module in common, and the same design has the same Verilog everywhere.
    """
    what = [design.network.hash, dump_folds(design.folds), design.counts, target]
    return f"spikeloom_{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]}"


def axi_file(verilog: str) -> str:
    """The file of the AXI core beside the design's file ``verilog``."""
    return "spikeloom_axi.v" if verilog == DEFAULT_FILE else f"{verilog.removesuffix('.v')}_axi.v"


def rom_file(module: str) -> str:
    """The file with the contents of a ROM of a design for an ASIC, whose module is ``module``."""
    return f"{module}.hex"


class Namespace:
    """Gives out names, each once; two that differ in case alone count as the same, as they do in VHDL."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}
        self._last: dict[str, int] = {}

    def give(self, name: str) -> str:
        """Return ``name``, with a number where it is taken."""
        key = name.lower()
        if key not in self._taken:
            self._taken.add(key)
            return name
        number = self._last.get(key, 1) + 1
        while f"{key}_{number}" in self._taken:
            number += 1
        self._last[key] = number
        self._taken.add(f"{key}_{number}")
        return f"{name}_{number}"
