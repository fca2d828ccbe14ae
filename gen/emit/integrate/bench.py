"""``NAME_tb.v``: a test bench in plain Verilog that checks itself, word by word and cycle by cycle, in any simulator.

It offers the words of a few frames without a pause, and expects the words of the network at the cycles of the cycle
law, no others, and ``last`` at the end of every frame. All it does happens at the rising edge, so no simulator can
order things differently.
"""

from __future__ import annotations

from collections.abc import Sequence

from .layout import Port

__all__ = ["bench", "vector_files"]


def vector_files(stem: str, ports: Sequence[Port]) -> dict[str, str]:
    """Names of the files of vectors: of the input's words, and of every output's words and cycles.

    The name of a port has no two underscores side by side, so no output ``o_a_cycles`` has the file of ``o_a``.
    """
    return {"i": f"{stem}_tb_i.hex"} | {
        f"{port.name}{kind}": f"{stem}_tb_{port.name}{kind}.hex" for port in ports if port.output
        for kind in ("", "__cycles")
    }


def bench(top: str, stem: str, ports: Sequence[Port], words: int, expected: dict[str, int], quiet: int) -> str:
    """The text of the bench.

    ``words``, of the input; ``expected``, words on every output; ``quiet``, cycles behind the last one in which
    nothing may come.
    """
    files = vector_files(stem, ports)
    entry = next(port for port in ports if not port.output)
    outs = [port for port in ports if port.output]
    lines = [
        f"// A test bench of {top} that checks itself: every output word, the cycle in which it leaves, and 'last'.",
        "// Run it in this folder, where its vectors are:",
        f"//   $ iverilog -g2005 -o {stem}_tb.vvp {stem}.v {stem}_tb.v && vvp -n {stem}_tb.vvp",
        f"//   $ verilator --binary --timing -Wno-fatal --top-module {top}_tb {stem}.v {stem}_tb.v",
        f"//   $ obj_dir/V{top}_tb",
        "// (GCC before version 13 may ask Verilator for -CFLAGS -fcoroutines.)",
        "// It ends with a line that begins with PASS or with FAIL.",
        "`timescale 1ns / 1ps",
        f"module {top}_tb;",
        "  reg clk = 1'b0, rst = 1'b1;",
        "  always #5 clk = ~clk;",
        "",
        "  integer cycle = -4;  // 0 is the first cycle with reset low",
        "  integer errors = 0, k = 0, ended = 0;",
        f"  reg [{entry.width - 1}:0] i_words [0:{words - 1}];",
        f"  wire i__valid = !rst && k < {words};",
        "  wire i__ready;",
        f"  wire [{entry.width - 1}:0] i__payload = k < {words} ? i_words[k] : {{{entry.width}{{1'b0}}}};",
        "",
    ]
    for port in outs:
        count, name = expected[port.name], port.name
        lines += [
            f"  wire {name}__valid, {name}__last;",
            f"  wire [{port.width - 1}:0] {name}__payload;",
            f"  reg [{port.width - 1}:0] {name}_words [0:{count - 1}];",
            f"  reg [31:0] {name}_cycles [0:{count - 1}];",
            f"  integer {name}_k = 0;",
            "",
        ]
    lines += [
        f"  {top} dut (",
        "    .clk(clk), .rst(rst), .i__valid(i__valid), .i__ready(i__ready), .i__payload(i__payload),",
        *(
            f"    .{p.name}__valid({p.name}__valid), .{p.name}__ready(1'b1), .{p.name}__payload({p.name}__payload), "
            f".{p.name}__last({p.name}__last){',' if p is not outs[-1] else ''}"
            for p in outs
        ),
        "  );",
        "",
        "  initial begin",
        f'    $readmemh("{files["i"]}", i_words);',
        *(f'    $readmemh("{files[f"{p.name}{kind}"]}", {p.name}{memory});'
          for p in outs for kind, memory in (("", "_words"), ("__cycles", "_cycles"))),
        "  end",
        "",
        "  always @(posedge clk) begin",
        "    cycle <= cycle + 1;",
        "    if (cycle == -1) rst <= 1'b0;",
        "    if (i__valid && i__ready) k <= k + 1;",
        "  end",
        "",
    ]  # fmt: skip
    for port in outs:
        lines += _checks(port, expected[port.name])
    done = " && ".join(f"{p.name}_k == {expected[p.name]}" for p in outs)
    total = sum(expected.values())
    lines += [
        "  always @(posedge clk) begin",
        f"    if ({done}) ended <= ended + 1;",
        f"    if (ended == {quiet}) begin",
        f'      if (errors == 0) $display("PASS: {total} words in %0d cycles", cycle);',
        '      else $display("FAIL: %0d differences", errors);',
        "      $finish;",
        f"    end else if (cycle > {1000 + quiet} + ({' + '.join(f'{p.name}_last_cycle' for p in outs)})) begin",
        '      $display("FAIL: %0d differences, and words are missing after cycle %0d", errors, cycle);',
        "      $finish;",
        "    end",
        "  end",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def _checks(port: Port, count: int) -> list[str]:
    """What a cycle of an output is compared with."""
    name = port.name
    return [
        f"  wire signed [31:0] {name}_last_cycle = {name}_cycles[{count - 1}];",
        "  always @(posedge clk) begin",
        f"    if (!rst && {name}__valid !== 1'b0) begin",
        f"      if ({name}_k >= {count}) begin",
        "        errors = errors + 1;",
        f'        $display("FAIL: {name}, cycle %0d: a word too many, %h", cycle, {name}__payload);',
        f"      end else if ({name}__payload !== {name}_words[{name}_k] || cycle !== {name}_cycles[{name}_k]",
        f"          || {name}__last !== ({name}_k % {port.words} == {port.words - 1})) begin",
        "        errors = errors + 1;",
        f'        $display("FAIL: {name}, word %0d: %h, last %b in cycle %0d; expected %h in cycle %0d", {name}_k,',
        f"          {name}__payload, {name}__last, cycle, {name}_words[{name}_k], {name}_cycles[{name}_k]);",
        "      end",
        f"      {name}_k <= {name}_k + 1;",
        "    end",
        "  end",
        "",
    ]
