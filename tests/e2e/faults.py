"""Single faults for an emitted design, all put into its Verilog at once and chosen when the simulation starts.

The file ``fault.txt`` in the working folder names the fault: its number, and for one on a stream the stage. So one
build serves all faults, and number 0, no fault, shows that what was put in is transparent.
"""

from __future__ import annotations

import re

__all__ = ["FAULTS", "instrumented"]

STREAM_FAULTS = """
module fault_stream #(parameter STAGE = 0, parameter WIDTH = 1) (
    input clk, input rst, input [WIDTH-1:0] i_payload, input i_valid, output i_ready,
    output reg [WIDTH-1:0] o_payload, output o_valid, input o_ready);
  integer file, got, number, stage;
  initial begin
    file = $fopen("fault.txt", "r"); got = $fscanf(file, "%d %d", number, stage); $fclose(file);
  end
  wire [31:0] kind = stage == STAGE ? number : 0;
  reg [15:0] n = 0;  // words passed
  reg done = 0, waited = 0;
  wire late = i_valid & n == 50 & ~done;
  assign o_valid = i_valid & ~(kind == 104 & late) & ~(kind == 105 & waited & ~done) & ~(kind == 108 & late);
  assign i_ready = (o_ready & o_valid & ~(kind == 107 & n == 50)) | (kind == 108 & late);
  always @* begin
    o_payload = i_payload;
    if (kind == 100 & n >= 50 & ~done) o_payload = i_payload & (i_payload - 1);
    if (kind == 101 & n >= 50 & ~done) o_payload = i_payload | (i_payload + 1);
    if (kind == 102) o_payload = {i_payload[WIDTH/2-1:0], i_payload[WIDTH-1:WIDTH/2]};
    if (kind == 103) o_payload = {i_payload[WIDTH-1:2], i_payload[0], i_payload[1]};
    if (kind == 106 & waited & ~o_ready) o_payload = ~i_payload;
    if (kind == 109) o_payload = i_payload | 1;
  end
  always @(posedge clk) begin
    waited <= i_valid & ~o_ready & ~rst;
    if (o_valid & o_ready & ~rst) n <= n + 1;
    if ((kind == 104 | kind == 108) & late) done <= 1;
    if (kind == 105 & waited) done <= 1;
    if ((kind == 100 | kind == 101) & i_valid & o_ready & o_payload != i_payload) done <= 1;
  end
endmodule
"""

READ = (
    'fault_file = $fopen("fault.txt", "r"); fault_got = $fscanf(fault_file, "%d", fault_number); $fclose(fault_file);'
)
DECLARE = f"  integer fault_file, fault_got, fault_number;\n  initial begin {READ} end\n"

FIRES = r"(?s)( : )({0}\[\d+\])(;.*?\.s\()({0}\[\d+\])"
"""Where the sign of a signal is taken as a spike."""

INSIDE = {
    # number: (module, pattern, replacement); the replacement is chosen where fault_number is the number.
    # A neuron fires where what it is short of its threshold is negative: the spike leaves, and the membrane moves.
    2: ("conv1_neuronarray", FIRES.format("d_0_0"), r"\1(ON ? d_0_0 < -1 : \2)\3(ON ? d_0_0 < -1 : \4)"),
    3: ("conv1_neuronarray", FIRES.format("d_0_1"), r"\1(ON ? d_0_1 < -1 : \2)\3(ON ? d_0_1 < -1 : \4)"),
    4: ("conv1_neuronarray", FIRES.format("d_0_2"), r"\1(ON ? 1'b0 : \2)\3(ON ? 1'b0 : \4)"),
    5: ("fc_synapsearray", r"(acc_2_0 <= )(.*);", r"\1ON ? \2 & ~4 : \2;"),
    # Its rows begin at 2, so that the highest bit says that all 6 slots are full.
    6: ("conv1_window", r"(i__ready = )(~ rows\[3\]);", r"\1ON ? rows < 4'h7 : \2;"),
    7: ("conv1_window", r"memory\[0\] = 4'h0", f"{READ} memory[0] = ON"),
    8: ("pool_poolarray", r"(assign \w+ = )(\S+) > (\S+);", r"\1ON ? \2 < \3 : \2 > \3;"),
}

FAULTS: dict[str, tuple[str, str]] = {
    "none": ("0 0", ""),
    "a weight's sign": ("1 0", "conv1"),
    "threshold + 1": ("2 0", "conv1"),
    ">= as >": ("3 0", "conv1"),
    "a spike stuck at 0": ("4 0", "conv1"),
    "an accumulator bit stuck at 0": ("5 0", "fc"),
    "a line buffer too short by a row": ("6 0", "i"),
    "padding that is not zero": ("7 0", "conv1"),
    "maximum as minimum": ("8 0", "pool"),
    "a lost reset": ("9 0", "i conv1"),  # what the registers start with decides
    "a dropped spike": ("100 0", "conv1"),
    "a spike too many": ("101 2", "pool"),
    "swapped channels": ("102 2", "pool"),
    "swapped time steps": ("103 0", "conv1"),
    "a word late by one cycle": ("104 2", "pool"),
    "a valid that drops": ("105 4", "fc"),
    "a payload that changes while it waits": ("106 4", "fc"),
    "a word sent twice": ("107 2", "pool"),
    "a word swallowed": ("108 2", "pool"),
    "a bit stuck at 1": ("109 4", "fc"),
}
"""For each fault what goes into ``fault.txt``, and the boundaries, at one of which it must show first."""


def _top(text: str) -> str:
    """The name of the top module, which begins those of all others."""
    (found,) = re.findall(r"^module (\w+)\(i__", text, re.MULTILINE)[:1]
    return found


def _inside(text: str, module: str, pattern: str, replacement: str, number: int) -> str:
    start = text.index(f"module {_top(text)}_{module}(")
    end = text.index("endmodule", start)
    body, count = re.subn(pattern, replacement.replace("ON", f"(fault_number == {number})"), text[start:end], count=1)
    assert count == 1, f"{pattern} is not in {module}"
    if "fault_number;" not in body:
        body = body.replace(";\n", ";\n" + DECLARE, 1)
    return text[:start] + body + text[end:]


def _weight(text: str) -> str:
    """The sign of the first weight that can change it, in the first memory of the synapse array."""
    start = text.index(f"module {_top(text)}_conv1_synapsearray(")
    match = next(
        m for m in re.finditer(r"memory\w*\[\d+\] = 8'h(\w\w);", text[start:]) if int(m[1], 16) & 15 not in (0, 8)
    )
    value = int(match[1], 16)
    negated = value & 0xF0 | 16 - (value & 15)
    return _inside(
        text,
        "conv1_synapsearray",
        re.escape(match[0]),
        f"{READ} {match[0].split(' = ')[0]} = ON ? 8'h{negated:02x} : 8'h{value:02x};",
        1,
    )


def _stream(text: str, stage: str, number: int) -> str:
    instance = re.search(rf"  {_top(text)}_{stage} {stage} \(.*?\n  \);\n", text, re.S)
    assert instance, stage
    nets, block = {}, instance[0]
    for port in ("payload", "valid", "ready"):
        match = re.search(rf"\.(o__{port})\(([^)]*)\)", block)
        assert match, port
        nets[port] = match[2]
        block = block.replace(match[0], f".{match[1]}(f{number}_{port})")
    size = re.search(rf"(?:wire|output) (?:\[(\d+):0\] )?{re.escape(nets['payload'].strip())} ?;", text)
    width = int(size[1]) + 1 if size and size[1] else 1
    wires = f"  wire [{width - 1}:0] f{number}_payload; wire f{number}_valid, f{number}_ready;\n"
    shim = (
        f"  fault_stream #(.STAGE({number}), .WIDTH({width})) f{number}(.clk(clk), .rst(rst), "
        f".i_payload(f{number}_payload), .i_valid(f{number}_valid), .i_ready(f{number}_ready), "
        f".o_payload({nets['payload']}), .o_valid({nets['valid']}), .o_ready({nets['ready']}));\n"
    )
    return text.replace(instance[0], wires + block + shim)


def instrumented(text: str) -> str:
    """The Verilog with all faults in it."""
    text = _weight(text)
    for number, (module, pattern, replacement) in INSIDE.items():
        text = _inside(text, module, pattern, replacement, number)
    for number, stage in ((0, "conv1"), (2, "pool"), (4, "fc")):
        text = _stream(text, stage, number)
    text = re.sub(
        rf"(  {_top(text)}_conv1 conv1 .*?\.rst\()rst\)",
        r"\g<1>fault_number == 9 ? 1'b0 : rst)",
        text,
        count=1,
        flags=re.S,
    )
    top = text.index(f"module {_top(text)}(")
    return text[:top] + text[top:].replace(";\n", ";\n" + DECLARE, 1) + STREAM_FAULTS
