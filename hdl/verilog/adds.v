// spikeloom_adds: y = p + q of SIZE bits. p is a & ax, inverted at the places in FIRST. q is b & bx, but b | bx at the
// places in SECOND, and p at the places in ENDS. ax and bx are 1 at those in OPEN, of which none is in FIRST,
// and b is 0 at those of these in ALONE.
//
// Additions lie side by side in one carry chain. Behind the bits of each there is one of the ENDS, which gives its carry
// out as a sum and makes the carry of the next one, so that a third summand of one bit is free. FIRST inverts the sign
// bit of a two's complement number after the gate; SECOND does so for b, of which that bit and its gate come inverted.
//
// Synthesis takes the smallest form of a device where one of SPIKELOOM_ECP5, SPIKELOOM_XC7 is defined when this file is
// read (Yosys: read_verilog -DSPIKELOOM_ECP5). The results are the same.
module spikeloom_adds (a, ax, b, bx, y);
  parameter SIZE = 4;
  parameter [SIZE-1:0] FIRST = 0;
  parameter [SIZE-1:0] SECOND = 0;
  parameter [SIZE-1:0] ENDS = 0;
  parameter [SIZE-1:0] OPEN = 0;
  parameter [SIZE-1:0] ALONE = 0;
  input [SIZE-1:0] a, ax, b, bx;
  output [SIZE-1:0] y;
  wire unused = &{1'b0, OPEN, ALONE};  // some forms do not need them
`ifdef SPIKELOOM_ECP5
  // Half a CCU2C a place: propagate p ^ q, generate p. The generate table is the lowest quarter of the propagate table,
  // so C = D = 0 must leave p alone: it does where q is C & D or C | D. At the ends C = D = 1, which propagates nothing.
  localparam CELLS = (SIZE + 1) / 2;
  localparam [2*CELLS-1:0] INVERT = FIRST;
  localparam [2*CELLS-1:0] EITHER = SECOND;
  localparam [2*CELLS-1:0] LAST = ENDS;
  wire [2*CELLS-1:0] pa = a;
  wire [2*CELLS-1:0] pb = ax;
  wire [2*CELLS-1:0] pc = b | ENDS;
  wire [2*CELLS-1:0] pd = bx | ENDS;
  wire [2*CELLS-1:0] ps;
  wire [CELLS:0] carry;
  wire unused_cells = &{1'b0, ps, carry};
  assign carry[0] = 1'b0;
  assign y = ps[SIZE-1:0];
  genvar i;
  generate
    for (i = 0; i < CELLS; i = i + 1) begin : slice
      CCU2C #(
        .INIT0(LAST[2*i] ? (INVERT[2*i] ? 16'h0007 : 16'h0008) :
               16'h7888 ^ (EITHER[2*i] ? 16'h0ff0 : 16'h0000) ^ {16{INVERT[2*i]}}),
        .INIT1(LAST[2*i+1] ? (INVERT[2*i+1] ? 16'h0007 : 16'h0008) :
               16'h7888 ^ (EITHER[2*i+1] ? 16'h0ff0 : 16'h0000) ^ {16{INVERT[2*i+1]}}),
        .INJECT1_0("NO"), .INJECT1_1("NO")
      ) cell_ (
        .CIN(carry[i]), .COUT(carry[i+1]),
        .A0(pa[2*i]), .B0(pb[2*i]), .C0(pc[2*i]), .D0(pd[2*i]), .S0(ps[2*i]),
        .A1(pa[2*i+1]), .B1(pb[2*i+1]), .C1(pc[2*i+1]), .D1(pd[2*i+1]), .S1(ps[2*i+1])
      );
    end
  endgenerate
`elsif SPIKELOOM_XC7
  // A LUT6_2 a place: propagate at O6, p at O5, into a CARRY4.
  localparam CELLS = (SIZE + 3) / 4;
  wire [4*CELLS-1:0] propagate, first, sum;
  wire [CELLS:0] carry;
  wire unused_cells = &{1'b0, sum, carry};
  assign carry[0] = 1'b0;
  assign y = sum[SIZE-1:0];
  genvar i;
  generate
    for (i = 0; i < 4 * CELLS; i = i + 1) begin : place
      if (i < SIZE && ENDS[i]) begin : end_
        assign propagate[i] = 1'b0;
        assign first[i] = (a[i] & ax[i]) ^ FIRST[i];
      end else if (i < SIZE && OPEN[i]) begin : open
        assign propagate[i] = ALONE[i] ? a[i] : a[i] ^ b[i];
        assign first[i] = a[i];
      end else if (i < SIZE) begin : gated
        LUT6_2 #(
          .INIT({{2{16'h7888 ^ (SECOND[i] ? 16'h0ff0 : 16'h0000)}}, {2{16'h8888}}} ^ {64{FIRST[i]}})
        ) lut (
          .I0(a[i]), .I1(ax[i]), .I2(b[i]), .I3(bx[i]), .I4(1'b0), .I5(1'b1), .O6(propagate[i]), .O5(first[i])
        );
      end else begin : rest
        assign propagate[i] = 1'b0;
        assign first[i] = 1'b0;
      end
    end
    for (i = 0; i < CELLS; i = i + 1) begin : slice
      wire [3:0] co;
      assign carry[i+1] = co[3];
      CARRY4 cell_ (
        .CYINIT(1'b0), .CI(carry[i]), .S(propagate[4*i+3:4*i]), .DI(first[4*i+3:4*i]), .O(sum[4*i+3:4*i]), .CO(co)
      );
    end
  endgenerate
`else
  wire [SIZE-1:0] p = (a & ax) ^ FIRST;
  wire [SIZE-1:0] q = (b & bx | (b | bx) & SECOND) & ~ENDS | p & ENDS;
  assign y = p + q;
`endif
endmodule
