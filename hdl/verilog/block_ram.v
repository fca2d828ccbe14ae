// spikeloom_block_ram: DEPTH words of WIDTH bits, a port that writes and one that reads, on one clock. rdata is the word
// at raddr of two cycles ago. All words are zero to begin with; a word that is written in the cycle in which it is read
// is never used.
//
// On ECP5 (SPIKELOOM_ECP5, see adds.v) block RAMs are instantiated with the registers that they have built in (rom.v).
module spikeloom_block_ram (clk, we, waddr, wdata, raddr, rdata);
  parameter DEPTH = 512;
  parameter WIDTH = 36;
  parameter ADDRESS = 9;
  input clk, we;
  input [ADDRESS-1:0] waddr, raddr;
  input [WIDTH-1:0] wdata;
  output [WIDTH-1:0] rdata;
`ifdef SPIKELOOM_ECP5
  // The widest words of which a block RAM has DEPTH: 36 bits of 512 words to 1 bit of 16,384. DEPTH ends there.
  localparam UNIT = DEPTH <= 512 ? 36 : DEPTH <= 1024 ? 18 : DEPTH <= 2048 ? 9 : DEPTH <= 4096 ? 4 :
                    DEPTH <= 8192 ? 2 : 1;
  localparam PLACE = UNIT == 36 ? 5 : UNIT == 18 ? 4 : UNIT == 9 ? 3 : UNIT == 4 ? 2 : UNIT == 2 ? 1 : 0;
  localparam SLICES = (WIDTH + UNIT - 1) / UNIT;
  // The lowest bits of a write address enable the bytes of words of 18 and 36 bits.
  wire [13:0] address_a = {{14 - ADDRESS{1'b0}}, waddr} << PLACE | (UNIT == 36 ? 14'hF : UNIT == 18 ? 14'h3 : 14'h0);
  wire [13:0] address_b = {{14 - ADDRESS{1'b0}}, raddr} << PLACE;
  wire [SLICES*UNIT-1:0] in, out;
  assign in = {{SLICES * UNIT - WIDTH{1'b0}}, wdata};
  assign rdata = out[WIDTH-1:0];
  wire unused = &{1'b0, out};
  genvar s;
  generate
    for (s = 0; s < SLICES; s = s + 1) begin : slice
      // Words of 36 bits use the pins of both ports, the lower half those of port A.
      wire [35:0] word = {{36 - UNIT{1'b0}}, in[s*UNIT +: UNIT]};
      wire [17:0] out_a, out_b;
      wire unused_pins = &{1'b0, out_a, out_b};
      if (UNIT == 36) begin : whole
        assign out[s*36 +: 36] = {out_b, out_a};
      end else begin : part
        assign out[s*UNIT +: UNIT] = out_b[UNIT-1:0];
      end
      DP16KD #(
        .DATA_WIDTH_A(UNIT), .DATA_WIDTH_B(UNIT), .REGMODE_A("OUTREG"), .REGMODE_B("OUTREG"),
        .CLKAMUX("CLKA"), .CLKBMUX("CLKB"), .GSR("DISABLED")
      ) ram (
        .CLKA(clk), .CEA(1'b1), .OCEA(1'b1), .WEA(we), .RSTA(1'b0), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),
        .CLKB(clk), .CEB(1'b1), .OCEB(1'b1), .WEB(1'b0), .RSTB(1'b0), .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0),
        .ADA0(address_a[0]), .ADA1(address_a[1]), .ADA2(address_a[2]), .ADA3(address_a[3]), .ADA4(address_a[4]),
        .ADA5(address_a[5]), .ADA6(address_a[6]), .ADA7(address_a[7]), .ADA8(address_a[8]), .ADA9(address_a[9]),
        .ADA10(address_a[10]), .ADA11(address_a[11]), .ADA12(address_a[12]), .ADA13(address_a[13]),
        .ADB0(address_b[0]), .ADB1(address_b[1]), .ADB2(address_b[2]), .ADB3(address_b[3]), .ADB4(address_b[4]),
        .ADB5(address_b[5]), .ADB6(address_b[6]), .ADB7(address_b[7]), .ADB8(address_b[8]), .ADB9(address_b[9]),
        .ADB10(address_b[10]), .ADB11(address_b[11]), .ADB12(address_b[12]), .ADB13(address_b[13]),
        .DIA0(word[0]), .DIA1(word[1]), .DIA2(word[2]), .DIA3(word[3]), .DIA4(word[4]), .DIA5(word[5]), .DIA6(word[6]),
        .DIA7(word[7]), .DIA8(word[8]), .DIA9(word[9]), .DIA10(word[10]), .DIA11(word[11]), .DIA12(word[12]),
        .DIA13(word[13]), .DIA14(word[14]), .DIA15(word[15]), .DIA16(word[16]), .DIA17(word[17]),
        .DIB0(word[18]), .DIB1(word[19]), .DIB2(word[20]), .DIB3(word[21]), .DIB4(word[22]), .DIB5(word[23]),
        .DIB6(word[24]), .DIB7(word[25]), .DIB8(word[26]), .DIB9(word[27]), .DIB10(word[28]), .DIB11(word[29]),
        .DIB12(word[30]), .DIB13(word[31]), .DIB14(word[32]), .DIB15(word[33]), .DIB16(word[34]), .DIB17(word[35]),
        .DOA0(out_a[0]), .DOA1(out_a[1]), .DOA2(out_a[2]), .DOA3(out_a[3]), .DOA4(out_a[4]), .DOA5(out_a[5]),
        .DOA6(out_a[6]), .DOA7(out_a[7]), .DOA8(out_a[8]), .DOA9(out_a[9]), .DOA10(out_a[10]), .DOA11(out_a[11]),
        .DOA12(out_a[12]), .DOA13(out_a[13]), .DOA14(out_a[14]), .DOA15(out_a[15]), .DOA16(out_a[16]), .DOA17(out_a[17]),
        .DOB0(out_b[0]), .DOB1(out_b[1]), .DOB2(out_b[2]), .DOB3(out_b[3]), .DOB4(out_b[4]), .DOB5(out_b[5]),
        .DOB6(out_b[6]), .DOB7(out_b[7]), .DOB8(out_b[8]), .DOB9(out_b[9]), .DOB10(out_b[10]), .DOB11(out_b[11]),
        .DOB12(out_b[12]), .DOB13(out_b[13]), .DOB14(out_b[14]), .DOB15(out_b[15]), .DOB16(out_b[16]), .DOB17(out_b[17])
      );
    end
  endgenerate
`else
  (* ram_style = "block", no_rw_check = 1 *)
  reg [WIDTH-1:0] memory [0:DEPTH-1];
  reg [WIDTH-1:0] word, later;
  integer i;
  initial for (i = 0; i < DEPTH; i = i + 1) memory[i] = {WIDTH{1'b0}};
  always @(posedge clk) begin
    if (we)
      memory[waddr] <= wdata;
    word <= memory[raddr];
    later <= word;
  end
  assign rdata = later;
`endif
endmodule
