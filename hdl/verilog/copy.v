// spikeloom_copy: q is d of one cycle ago, one of several copies of a value that drives too much for one register.
//
// Synthesis makes one register of equal ones. On ECP5 (SPIKELOOM_ECP5, see adds.v) flip-flops that are instantiated stay
// as many as there are.
module spikeloom_copy (clk, d, q);
  parameter WIDTH = 1;
  input clk;
  input [WIDTH-1:0] d;
  output [WIDTH-1:0] q;
`ifdef SPIKELOOM_ECP5
  genvar k;
  generate
    for (k = 0; k < WIDTH; k = k + 1) begin : bits
      TRELLIS_FF #(
        .GSR("DISABLED"), .CEMUX("1"), .CLKMUX("CLK"), .LSRMUX("LSR"), .REGSET("RESET"), .SRMODE("LSR_OVER_CE")
      ) ff (.CLK(clk), .LSR(1'b0), .CE(1'b1), .DI(d[k]), .Q(q[k]));
    end
  endgenerate
`else
  reg [WIDTH-1:0] kept;
  always @(posedge clk) kept <= d;
  assign q = kept;
`endif
endmodule
