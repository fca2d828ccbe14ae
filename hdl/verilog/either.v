// spikeloom_either: y = (s ? c : b) + a, of SIZE bits; with MINUS, y = (s ? c : b) - a.
//
// On ECP5 (SPIKELOOM_ECP5, see adds.v) the choice lies in the cells of the carry chain. Synthesis for others finds that by
// itself where their cells can do it. The results are the same.
module spikeloom_either (a, s, b, c, y);
  parameter SIZE = 4;
  parameter MINUS = 0;
  input [SIZE-1:0] a, b, c;
  input s;
  output [SIZE-1:0] y;
`ifdef SPIKELOOM_ECP5
  // Half a CCU2C a place: propagate p ^ q, generate p; q is B ? D : C, and p is A, or ~A with MINUS, which begins with a
  // carry. The generate table is the lowest quarter of the propagate table, so C = D = 0 must leave p alone: q is 0 then.
  localparam CELLS = (SIZE + 1) / 2;
  localparam [15:0] TABLE = MINUS != 0 ? 16'hA965 : 16'h569A;
  wire [2*CELLS-1:0] pa = a;
  wire [2*CELLS-1:0] pc = b;
  wire [2*CELLS-1:0] pd = c;
  wire [2*CELLS-1:0] ps;
  wire [CELLS:0] carry;
  wire unused_cells = &{1'b0, ps, carry};
  assign carry[0] = MINUS != 0;
  assign y = ps[SIZE-1:0];
  genvar i;
  generate
    for (i = 0; i < CELLS; i = i + 1) begin : slice
      CCU2C #(
        .INIT0(TABLE), .INIT1(TABLE), .INJECT1_0("NO"), .INJECT1_1("NO")
      ) cell_ (
        .CIN(carry[i]), .COUT(carry[i+1]),
        .A0(pa[2*i]), .B0(s), .C0(pc[2*i]), .D0(pd[2*i]), .S0(ps[2*i]),
        .A1(pa[2*i+1]), .B1(s), .C1(pc[2*i+1]), .D1(pd[2*i+1]), .S1(ps[2*i+1])
      );
    end
  endgenerate
`else
  wire [SIZE-1:0] q = s ? c : b;
  assign y = MINUS != 0 ? q - a : a + q;
`endif
endmodule
