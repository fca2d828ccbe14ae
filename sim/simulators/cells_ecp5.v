// Simulation models of ECP5's block RAM and multiplier.
//
// Block RAM: two ports on one memory of 1,024 rows of 18 bits, or one write and one read port of 36 bits (two rows), with
// or without registers at the outputs. Chip selects stay low, inputs but clocks are not
// inverted, and only a synchronous reset resets anything; whatever else is asked for stops the simulation.
//
// A port of 18 bits sees a row, and AD[1:0] are its byte enables; one of 9 bits half a row; one of 4, 2 or 1 bits a part
// of the lower eight bits of a half, so that bits 8 and 17 are out of its sight.

module spikeloom_bram_port #(
  parameter WIDTH = 18
) (
  input [13:0] address,
  output [9:0] row,
  output [4:0] shift,
  output [17:0] lane
);
  assign row = address[13:4];
  assign shift = WIDTH == 18 ? 5'd0 : (address[3] ? 5'd9 : 5'd0) + (
    WIDTH == 4 ? {2'd0, address[2], 2'd0} :
    WIDTH == 2 ? {2'd0, address[2:1], 1'b0} :
    WIDTH == 1 ? {2'd0, address[2:0]} : 5'd0);
  assign lane = WIDTH == 18 ? {{9{address[1]}}, {9{address[0]}}} :
    WIDTH == 9 ? 18'h1FF : WIDTH == 4 ? 18'hF : WIDTH == 2 ? 18'h3 : 18'h1;
endmodule

// Parameters that are texts are compared with longer ones, and some change nothing in simulation.
/* verilator lint_off WIDTHEXPAND */
/* verilator lint_off UNUSEDPARAM */
module DP16KD(
  input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);
  parameter DATA_WIDTH_A = 18;
  parameter REGMODE_A = "NOREG";
  parameter CSDECODE_A = "0b000";
  parameter WRITEMODE_A = "NORMAL";
  parameter CLKAMUX = "CLKA";
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_B = "NOREG";
  parameter CSDECODE_B = "0b000";
  parameter WRITEMODE_B = "NORMAL";
  parameter CLKBMUX = "CLKB";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter GSR = "ENABLED";
  parameter [319:0] INITVAL_00 = 320'h0;
  parameter [319:0] INITVAL_01 = 320'h0;
  parameter [319:0] INITVAL_02 = 320'h0;
  parameter [319:0] INITVAL_03 = 320'h0;
  parameter [319:0] INITVAL_04 = 320'h0;
  parameter [319:0] INITVAL_05 = 320'h0;
  parameter [319:0] INITVAL_06 = 320'h0;
  parameter [319:0] INITVAL_07 = 320'h0;
  parameter [319:0] INITVAL_08 = 320'h0;
  parameter [319:0] INITVAL_09 = 320'h0;
  parameter [319:0] INITVAL_0A = 320'h0;
  parameter [319:0] INITVAL_0B = 320'h0;
  parameter [319:0] INITVAL_0C = 320'h0;
  parameter [319:0] INITVAL_0D = 320'h0;
  parameter [319:0] INITVAL_0E = 320'h0;
  parameter [319:0] INITVAL_0F = 320'h0;
  parameter [319:0] INITVAL_10 = 320'h0;
  parameter [319:0] INITVAL_11 = 320'h0;
  parameter [319:0] INITVAL_12 = 320'h0;
  parameter [319:0] INITVAL_13 = 320'h0;
  parameter [319:0] INITVAL_14 = 320'h0;
  parameter [319:0] INITVAL_15 = 320'h0;
  parameter [319:0] INITVAL_16 = 320'h0;
  parameter [319:0] INITVAL_17 = 320'h0;
  parameter [319:0] INITVAL_18 = 320'h0;
  parameter [319:0] INITVAL_19 = 320'h0;
  parameter [319:0] INITVAL_1A = 320'h0;
  parameter [319:0] INITVAL_1B = 320'h0;
  parameter [319:0] INITVAL_1C = 320'h0;
  parameter [319:0] INITVAL_1D = 320'h0;
  parameter [319:0] INITVAL_1E = 320'h0;
  parameter [319:0] INITVAL_1F = 320'h0;
  parameter [319:0] INITVAL_20 = 320'h0;
  parameter [319:0] INITVAL_21 = 320'h0;
  parameter [319:0] INITVAL_22 = 320'h0;
  parameter [319:0] INITVAL_23 = 320'h0;
  parameter [319:0] INITVAL_24 = 320'h0;
  parameter [319:0] INITVAL_25 = 320'h0;
  parameter [319:0] INITVAL_26 = 320'h0;
  parameter [319:0] INITVAL_27 = 320'h0;
  parameter [319:0] INITVAL_28 = 320'h0;
  parameter [319:0] INITVAL_29 = 320'h0;
  parameter [319:0] INITVAL_2A = 320'h0;
  parameter [319:0] INITVAL_2B = 320'h0;
  parameter [319:0] INITVAL_2C = 320'h0;
  parameter [319:0] INITVAL_2D = 320'h0;
  parameter [319:0] INITVAL_2E = 320'h0;
  parameter [319:0] INITVAL_2F = 320'h0;
  parameter [319:0] INITVAL_30 = 320'h0;
  parameter [319:0] INITVAL_31 = 320'h0;
  parameter [319:0] INITVAL_32 = 320'h0;
  parameter [319:0] INITVAL_33 = 320'h0;
  parameter [319:0] INITVAL_34 = 320'h0;
  parameter [319:0] INITVAL_35 = 320'h0;
  parameter [319:0] INITVAL_36 = 320'h0;
  parameter [319:0] INITVAL_37 = 320'h0;
  parameter [319:0] INITVAL_38 = 320'h0;
  parameter [319:0] INITVAL_39 = 320'h0;
  parameter [319:0] INITVAL_3A = 320'h0;
  parameter [319:0] INITVAL_3B = 320'h0;
  parameter [319:0] INITVAL_3C = 320'h0;
  parameter [319:0] INITVAL_3D = 320'h0;
  parameter [319:0] INITVAL_3E = 320'h0;
  parameter [319:0] INITVAL_3F = 320'h0;

  // Sixteen rows of 20 bits in each parameter, of which 18 count.
  reg [17:0] memory [0:1023];
  integer k;
  wire [20479:0] contents = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
    INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
    INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
    INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
    INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
    INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };
  initial begin
    for (k = 0; k < 1024; k = k + 1) memory[k] = contents[20*k +: 18];
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") refuse;
  end
  task refuse;
    begin
      $display("DP16KD: a mode that the model does not know");
      $fatal;
    end
  endtask
  generate
    if (RESETMODE == "ASYNC") begin : asynchronous
      always @(posedge CLKA) if (RSTA | RSTB) refuse;
    end
  endgenerate

  wire [17:0] in_A = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [13:0] address_A = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire clock_A = CLKAMUX == "INV" ? ~CLKA : CLKA;
  wire active_A = CEA & ~(CSA2 | CSA1 | CSA0);
  wire [9:0] row_A;
  wire [4:0] shift_A;
  wire [17:0] lane_A;
  spikeloom_bram_port #(.WIDTH(DATA_WIDTH_A)) port_A(
    .address(address_A), .row(row_A), .shift(shift_A), .lane(lane_A));
  reg [17:0] read_A, later_A;
  initial begin
    read_A = 0;
    later_A = 0;
  end
  wire [17:0] out_A = REGMODE_A == "OUTREG" ? later_A : read_A;
  always @(posedge clock_A)
    if (OCEA) later_A <= RSTA ? 18'd0 : read_A;
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = out_A;

  wire [17:0] in_B = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] address_B = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  wire clock_B = CLKBMUX == "INV" ? ~CLKB : CLKB;
  wire active_B = CEB & ~(CSB2 | CSB1 | CSB0);
  wire [9:0] row_B;
  wire [4:0] shift_B;
  wire [17:0] lane_B;
  spikeloom_bram_port #(.WIDTH(DATA_WIDTH_B)) port_B(
    .address(address_B), .row(row_B), .shift(shift_B), .lane(lane_B));
  reg [17:0] read_B, later_B;
  initial begin
    read_B = 0;
    later_B = 0;
  end
  wire [17:0] out_B = REGMODE_B == "OUTREG" ? later_B : read_B;
  always @(posedge clock_B)
    if (OCEB) later_B <= RSTB ? 18'd0 : read_B;
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = out_B;

  generate
    if (DATA_WIDTH_A == 36) begin : wide
      // Port A writes two rows, with four byte enables; port B reads as many, or one row or less at its upper half.
      wire [9:0] low = {address_A[13:5], 1'b0}, high = {address_A[13:5], 1'b1};
      always @(posedge clock_A)
        if (active_A & WEA) begin
          if (address_A[0]) memory[low][8:0] <= in_A[8:0];
          if (address_A[1]) memory[low][17:9] <= in_A[17:9];
          if (address_A[2]) memory[high][8:0] <= in_B[8:0];
          if (address_A[3]) memory[high][17:9] <= in_B[17:9];
        end
      always @(posedge clock_B)
        if (active_B) begin
          if (RSTB) {read_B, read_A} <= 0;
          else if (DATA_WIDTH_B == 36) begin
            read_A <= memory[{address_B[13:5], 1'b0}];
            read_B <= memory[{address_B[13:5], 1'b1}];
          end else read_B <= memory[row_B] >> shift_B & (DATA_WIDTH_B == 18 ? 18'h3FFFF : lane_B);
        end
    end else begin : narrow
      wire [17:0] mask_A = lane_A << shift_A, mask_B = lane_B << shift_B;
      wire [17:0] new_A = memory[row_A] & ~mask_A | in_A << shift_A & mask_A;
      wire [17:0] new_B = memory[row_B] & ~mask_B | in_B << shift_B & mask_B;
      always @(posedge clock_A)
        if (active_A) begin
          if (WEA) memory[row_A] <= new_A;
          if (RSTA) read_A <= 0;
          else if (!WEA || WRITEMODE_A == "READBEFOREWRITE")
            read_A <= memory[row_A] >> shift_A & (DATA_WIDTH_A == 18 ? 18'h3FFFF : lane_A);
          else if (WRITEMODE_A == "WRITETHROUGH")
            read_A <= new_A >> shift_A & (DATA_WIDTH_A == 18 ? 18'h3FFFF : lane_A);
        end
      always @(posedge clock_B)
        if (active_B) begin
          if (WEB) memory[row_B] <= new_B;
          if (RSTB) read_B <= 0;
          else if (!WEB || WRITEMODE_B == "READBEFOREWRITE")
            read_B <= memory[row_B] >> shift_B & (DATA_WIDTH_B == 18 ? 18'h3FFFF : lane_B);
          else if (WRITEMODE_B == "WRITETHROUGH")
            read_B <= new_B >> shift_B & (DATA_WIDTH_B == 18 ? 18'h3FFFF : lane_B);
        end
    end
  endgenerate
endmodule

// The multiplier without signs, shifts and the C operand, with or without registers before and behind it on CLK0, all
// of them enabled and never reset; whatever else is asked for stops the simulation. Registers start with zeros.
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNDRIVEN */
module MULT18X18D(
  input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK3, CLK2, CLK1, CLK0, CE3, CE2, CE1, CE0, RST3, RST2, RST1, RST0,
  input SRIA17, SRIA16, SRIA15, SRIA14, SRIA13, SRIA12, SRIA11, SRIA10, SRIA9, SRIA8, SRIA7, SRIA6, SRIA5, SRIA4,
  SRIA3, SRIA2, SRIA1, SRIA0, SRIB17, SRIB16, SRIB15, SRIB14, SRIB13, SRIB12, SRIB11, SRIB10, SRIB9, SRIB8, SRIB7,
  SRIB6, SRIB5, SRIB4, SRIB3, SRIB2, SRIB1, SRIB0,
  output SROA17, SROA16, SROA15, SROA14, SROA13, SROA12, SROA11, SROA10, SROA9, SROA8, SROA7, SROA6, SROA5, SROA4,
  SROA3, SROA2, SROA1, SROA0, SROB17, SROB16, SROB15, SROB14, SROB13, SROB12, SROB11, SROB10, SROB9, SROB8, SROB7,
  SROB6, SROB5, SROB4, SROB3, SROB2, SROB1, SROB0, ROA17, ROA16, ROA15, ROA14, ROA13, ROA12, ROA11, ROA10, ROA9,
  ROA8, ROA7, ROA6, ROA5, ROA4, ROA3, ROA2, ROA1, ROA0, ROB17, ROB16, ROB15, ROB14, ROB13, ROB12, ROB11, ROB10, ROB9,
  ROB8, ROB7, ROB6, ROB5, ROB4, ROB3, ROB2, ROB1, ROB0, ROC17, ROC16, ROC15, ROC14, ROC13, ROC12, ROC11, ROC10, ROC9,
  ROC8, ROC7, ROC6, ROC5, ROC4, ROC3, ROC2, ROC1, ROC0, P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24,
  P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0,
  SIGNEDP
);
  parameter REG_INPUTA_CLK = "NONE";
  parameter REG_INPUTA_CE = "CE0";
  parameter REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE";
  parameter REG_INPUTB_CE = "CE0";
  parameter REG_INPUTB_RST = "RST0";
  parameter REG_INPUTC_CLK = "NONE";
  parameter REG_INPUTC_CE = "CE0";
  parameter REG_INPUTC_RST = "RST0";
  parameter REG_PIPELINE_CLK = "NONE";
  parameter REG_PIPELINE_CE = "CE0";
  parameter REG_PIPELINE_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE";
  parameter REG_OUTPUT_CE = "CE0";
  parameter REG_OUTPUT_RST = "RST0";
  parameter CLK0_DIV = "ENABLED";
  parameter CLK1_DIV = "ENABLED";
  parameter CLK2_DIV = "ENABLED";
  parameter CLK3_DIV = "ENABLED";
  parameter HIGHSPEED_CLK = "NONE";
  parameter GSR = "ENABLED";
  parameter CAS_MATCH_REG = "FALSE";
  parameter SOURCEB_MODE = "B_SHIFT";
  parameter MULT_BYPASS = "DISABLED";
  parameter RESETMODE = "SYNC";
  wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  reg [17:0] a_1 = 0, b_1 = 0;
  reg [35:0] p_1 = 0;
  wire [17:0] a_now = REG_INPUTA_CLK == "CLK0" ? a_1 : a;
  wire [17:0] b_now = REG_INPUTB_CLK == "CLK0" ? b_1 : b;
  wire [35:0] product = {18'b0, a_now} * {18'b0, b_now};
  wire [35:0] p = REG_OUTPUT_CLK == "CLK0" ? p_1 : product;
  always @(posedge CLK0) begin
    a_1 <= a;
    b_1 <= b;
    p_1 <= product;
  end
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
    P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = p;
  assign SIGNEDP = 1'b0;
  initial if (REG_PIPELINE_CLK != "NONE" || MULT_BYPASS != "DISABLED" || HIGHSPEED_CLK != "NONE") begin
    $display("MULT18X18D: no model of these parameters");
    $fatal;
  end
  always @(posedge CLK0) if (SIGNEDA || SIGNEDB || SOURCEA || SOURCEB || !CE0 || RST0) begin
    $display("MULT18X18D: no model of signs, shifts, stopped or reset registers");
    $fatal;
  end
endmodule
/* verilator lint_on UNDRIVEN */
/* verilator lint_on UNUSEDSIGNAL */
/* verilator lint_on UNUSEDPARAM */
/* verilator lint_on WIDTHEXPAND */
