// spikeloom_multiply: y is a * b of two cycles ago, both without a sign. A and B are 18 bits at most.
//
// On ECP5 (SPIKELOOM_ECP5, see adds.v) it is an 18 x 18 multiplier with the registers that it has built in before and
// behind it, which Yosys does not use by itself: with the one behind alone its inputs have to come 3.5 ns before the
// clock edge (nextpnr, speed grade 6); with both little more than wire is left. On iCE40 it is the 16 x 16 multiplier of
// an UltraPlus, where A and B have no more bits. On 7 series it is a DSP48E1 with its registers A, B and P, whose factors
// have a sign and 25 x 18 bits: bit 17 of b is a summand on C, from its register. Of the plain form Yosys makes
// LUTs where factors are small, and two cells where both have 18 bits. Other tools find a multiplier in the plain form.
module spikeloom_multiply (clk, a, b, y);
  parameter A = 18;
  parameter B = 18;
  input clk;
  input [A-1:0] a;
  input [B-1:0] b;
  output [A+B-1:0] y;
`ifdef SPIKELOOM_ECP5
  wire [17:0] wide_a = {{18 - A{1'b0}}, a};
  wire [17:0] wide_b = {{18 - B{1'b0}}, b};
  wire [35:0] p;
  assign y = p[A+B-1:0];
  wire unused = &{1'b0, p};
  MULT18X18D #(
    .REG_INPUTA_CLK("CLK0"), .REG_INPUTB_CLK("CLK0"), .REG_PIPELINE_CLK("NONE"), .REG_OUTPUT_CLK("CLK0"),
    .SOURCEB_MODE("B_SHIFT"), .GSR("DISABLED")
  ) multiplier (
    .CLK0(clk), .CE0(1'b1), .RST0(1'b0), .SIGNEDA(1'b0), .SIGNEDB(1'b0), .SOURCEA(1'b0), .SOURCEB(1'b0),
    .A0(wide_a[0]), .A1(wide_a[1]), .A2(wide_a[2]), .A3(wide_a[3]), .A4(wide_a[4]), .A5(wide_a[5]), .A6(wide_a[6]),
    .A7(wide_a[7]), .A8(wide_a[8]), .A9(wide_a[9]), .A10(wide_a[10]), .A11(wide_a[11]), .A12(wide_a[12]),
    .A13(wide_a[13]), .A14(wide_a[14]), .A15(wide_a[15]), .A16(wide_a[16]), .A17(wide_a[17]),
    .B0(wide_b[0]), .B1(wide_b[1]), .B2(wide_b[2]), .B3(wide_b[3]), .B4(wide_b[4]), .B5(wide_b[5]), .B6(wide_b[6]),
    .B7(wide_b[7]), .B8(wide_b[8]), .B9(wide_b[9]), .B10(wide_b[10]), .B11(wide_b[11]), .B12(wide_b[12]),
    .B13(wide_b[13]), .B14(wide_b[14]), .B15(wide_b[15]), .B16(wide_b[16]), .B17(wide_b[17]),
    .P0(p[0]), .P1(p[1]), .P2(p[2]), .P3(p[3]), .P4(p[4]), .P5(p[5]), .P6(p[6]), .P7(p[7]), .P8(p[8]), .P9(p[9]),
    .P10(p[10]), .P11(p[11]), .P12(p[12]), .P13(p[13]), .P14(p[14]), .P15(p[15]), .P16(p[16]), .P17(p[17]),
    .P18(p[18]), .P19(p[19]), .P20(p[20]), .P21(p[21]), .P22(p[22]), .P23(p[23]), .P24(p[24]), .P25(p[25]),
    .P26(p[26]), .P27(p[27]), .P28(p[28]), .P29(p[29]), .P30(p[30]), .P31(p[31]), .P32(p[32]), .P33(p[33]),
    .P34(p[34]), .P35(p[35])
  );
`elsif SPIKELOOM_ICE40
  generate
    if (A <= 16 && B <= 16) begin : cell_of_device
      wire [31:0] p;
      assign y = p[A+B-1:0];
      wire unused = &{1'b0, p};
      SB_MAC16 #(
        .A_REG(1'b1), .B_REG(1'b1), .PIPELINE_16x16_MULT_REG2(1'b1), .TOPOUTPUT_SELECT(2'b11), .BOTOUTPUT_SELECT(2'b11)
      ) multiplier (
        .CLK(clk), .CE(1'b1), .A({{16 - A{1'b0}}, a}), .B({{16 - B{1'b0}}, b}), .C(16'b0), .D(16'b0), .O(p),
        .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0), .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0),
        .ORSTBOT(1'b0), .OLOADTOP(1'b0), .OLOADBOT(1'b0), .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0), .OHOLDTOP(1'b0),
        .OHOLDBOT(1'b0), .CI(1'b0), .ACCUMCI(1'b0), .SIGNEXTIN(1'b0)
      );
    end else begin : of_logic
      reg [A-1:0] a_1;
      reg [B-1:0] b_1;
      reg [A+B-1:0] product;
      always @(posedge clk) begin
        a_1 <= a;
        b_1 <= b;
        product <= {{B{1'b0}}, a_1} * {{A{1'b0}}, b_1};
      end
      assign y = product;
    end
  endgenerate
`elsif SPIKELOOM_XC7
  wire [17:0] wide_a = {{18 - A{1'b0}}, a};
  wire [17:0] wide_b = {{18 - B{1'b0}}, b};
  wire [47:0] p;
  assign y = p[A+B-1:0];
  wire unused = &{1'b0, p};
  DSP48E1 #(
    .AREG(1), .ACASCREG(1), .BREG(1), .BCASCREG(1), .CREG(1), .MREG(0), .PREG(1), .DREG(0), .ADREG(0), .INMODEREG(0),
    .OPMODEREG(0), .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .USE_MULT("MULTIPLY"), .USE_DPORT("FALSE")
  ) multiplier (
    .CLK(clk), .A({12'b0, wide_a}), .B({1'b0, wide_b[16:0]}), .C({13'b0, wide_a & {18{wide_b[17]}}, 17'b0}), .P(p),
    .OPMODE(7'b0110101), .ALUMODE(4'b0), .INMODE(5'b0), .CARRYINSEL(3'b0), .CARRYIN(1'b0), .D(25'b0), .ACIN(30'b0),
    .BCIN(18'b0), .PCIN(48'b0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0), .CEA1(1'b0), .CEA2(1'b1), .CEB1(1'b0),
    .CEB2(1'b1), .CEC(1'b1), .CEP(1'b1), .CEM(1'b0), .CED(1'b0), .CEAD(1'b0), .CEINMODE(1'b0), .CECTRL(1'b0),
    .CEALUMODE(1'b0), .CECARRYIN(1'b0), .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTM(1'b0), .RSTP(1'b0), .RSTD(1'b0),
    .RSTINMODE(1'b0), .RSTCTRL(1'b0), .RSTALUMODE(1'b0), .RSTALLCARRYIN(1'b0)
  );
`else
  reg [A-1:0] a_1;
  reg [B-1:0] b_1;
  (* use_dsp = "yes" *) reg [A+B-1:0] product;
  always @(posedge clk) begin
    a_1 <= a;
    b_1 <= b;
    product <= {{B{1'b0}}, a_1} * {{A{1'b0}}, b_1};
  end
  assign y = product;
`endif
endmodule
