// spikeloom_rom: DEPTH constants of WIDTH bits, the first lowest in INIT; data is the one of two cycles ago.
//
// A block RAM is slow and the register behind it, which many have built in, is fast, but synthesis leaves that register
// in the fabric. On ECP5 (SPIKELOOM_ECP5, see adds.v) the block RAMs are instantiated with theirs.
module spikeloom_rom (clk, address, data);
  parameter DEPTH = 512;
  parameter WIDTH = 36;
  parameter ADDRESS = 9;
  parameter [DEPTH*WIDTH-1:0] INIT = 0;
  input clk;
  input [ADDRESS-1:0] address;
  output [WIDTH-1:0] data;
`ifdef SPIKELOOM_ECP5
  // Both ports read: 2 x 18 bits of 512 words, or 2 x 9 bits of 1,024. Or one port reads: 9 bits of 2,048 words, 4 of
  // 4,096, 2 of 8,192 or 1 of 16,384, where DEPTH ends. Words of less than 9 bits use BYTE = 8 bits of every 9.
  localparam PORT = DEPTH <= 512 ? 18 : DEPTH <= 2048 ? 9 : DEPTH <= 4096 ? 4 : DEPTH <= 8192 ? 2 : 1;
  localparam PLACE = PORT == 18 ? 4 : PORT == 9 ? 3 : PORT == 4 ? 2 : PORT == 2 ? 1 : 0;
  localparam PORTS = DEPTH <= 1024 ? 2 : 1;
  localparam BYTE = PORT < 9 ? 8 : 9;
  localparam HALF = 2048 * BYTE / PORT / PORTS;
  localparam SLICES = (WIDTH + PORTS * PORT - 1) / (PORTS * PORT);
  localparam ROWS = 32 * BYTE / PORT;
  localparam CHUNK = ROWS * WIDTH + 36;
  localparam [DEPTH*WIDTH+CHUNK-1:0] PADDED = {{CHUNK{1'b0}}, INIT};
  wire [13:0] low = {{14 - ADDRESS{1'b0}}, address} << PLACE;
  wire [13:0] address_a = low;
  wire [13:0] address_b = PORTS == 2 ? low | 14'h2000 : low;
  wire [SLICES*PORTS*PORT-1:0] words;
  wire unused = &{1'b0, words};
  assign data = words[WIDTH-1:0];
  // What INITVAL number k of slice s holds: 16 words of 18 bits, each in 20 bits.
  function [319:0] init_slice;
    input integer s, k;
    reg [CHUNK-1:0] chunk;
    integer i, first;
    begin
      init_slice = 0;
      first = k * ROWS % HALF;
      if (first < DEPTH) begin
        chunk = PADDED[first * WIDTH +: CHUNK];
        for (i = 0; i < ROWS; i = i + 1)
          if (first + i < DEPTH)
            init_slice[i * PORT / BYTE / 2 * 20 + i * PORT / BYTE % 2 * 9 + i * PORT % BYTE +: PORT] =
              chunk[i * WIDTH + (s * PORTS + k * ROWS / HALF) * PORT +: PORT];
      end
    end
  endfunction
  genvar s;
  generate
    for (s = 0; s < SLICES; s = s + 1) begin : slice
      wire [17:0] out_a, out_b;
      wire unused_halves = &{1'b0, out_a, out_b};
      assign words[s*PORTS*PORT +: PORT] = out_a[PORT-1:0];
      if (PORTS == 2) begin : second
        assign words[s*PORTS*PORT + PORT +: PORT] = out_b[PORT-1:0];
      end
      // Nothing is ever written, so the data inputs stay open.
      /* verilator lint_off PINMISSING */
      DP16KD #(
        .INITVAL_00(init_slice(s, 0)), .INITVAL_01(init_slice(s, 1)), .INITVAL_02(init_slice(s, 2)), .INITVAL_03(init_slice(s, 3)),
        .INITVAL_04(init_slice(s, 4)), .INITVAL_05(init_slice(s, 5)), .INITVAL_06(init_slice(s, 6)), .INITVAL_07(init_slice(s, 7)),
        .INITVAL_08(init_slice(s, 8)), .INITVAL_09(init_slice(s, 9)), .INITVAL_0A(init_slice(s, 10)), .INITVAL_0B(init_slice(s, 11)),
        .INITVAL_0C(init_slice(s, 12)), .INITVAL_0D(init_slice(s, 13)), .INITVAL_0E(init_slice(s, 14)), .INITVAL_0F(init_slice(s, 15)),
        .INITVAL_10(init_slice(s, 16)), .INITVAL_11(init_slice(s, 17)), .INITVAL_12(init_slice(s, 18)), .INITVAL_13(init_slice(s, 19)),
        .INITVAL_14(init_slice(s, 20)), .INITVAL_15(init_slice(s, 21)), .INITVAL_16(init_slice(s, 22)), .INITVAL_17(init_slice(s, 23)),
        .INITVAL_18(init_slice(s, 24)), .INITVAL_19(init_slice(s, 25)), .INITVAL_1A(init_slice(s, 26)), .INITVAL_1B(init_slice(s, 27)),
        .INITVAL_1C(init_slice(s, 28)), .INITVAL_1D(init_slice(s, 29)), .INITVAL_1E(init_slice(s, 30)), .INITVAL_1F(init_slice(s, 31)),
        .INITVAL_20(init_slice(s, 32)), .INITVAL_21(init_slice(s, 33)), .INITVAL_22(init_slice(s, 34)), .INITVAL_23(init_slice(s, 35)),
        .INITVAL_24(init_slice(s, 36)), .INITVAL_25(init_slice(s, 37)), .INITVAL_26(init_slice(s, 38)), .INITVAL_27(init_slice(s, 39)),
        .INITVAL_28(init_slice(s, 40)), .INITVAL_29(init_slice(s, 41)), .INITVAL_2A(init_slice(s, 42)), .INITVAL_2B(init_slice(s, 43)),
        .INITVAL_2C(init_slice(s, 44)), .INITVAL_2D(init_slice(s, 45)), .INITVAL_2E(init_slice(s, 46)), .INITVAL_2F(init_slice(s, 47)),
        .INITVAL_30(init_slice(s, 48)), .INITVAL_31(init_slice(s, 49)), .INITVAL_32(init_slice(s, 50)), .INITVAL_33(init_slice(s, 51)),
        .INITVAL_34(init_slice(s, 52)), .INITVAL_35(init_slice(s, 53)), .INITVAL_36(init_slice(s, 54)), .INITVAL_37(init_slice(s, 55)),
        .INITVAL_38(init_slice(s, 56)), .INITVAL_39(init_slice(s, 57)), .INITVAL_3A(init_slice(s, 58)), .INITVAL_3B(init_slice(s, 59)),
        .INITVAL_3C(init_slice(s, 60)), .INITVAL_3D(init_slice(s, 61)), .INITVAL_3E(init_slice(s, 62)), .INITVAL_3F(init_slice(s, 63)),
        .DATA_WIDTH_A(PORT), .DATA_WIDTH_B(PORT), .REGMODE_A("OUTREG"), .REGMODE_B("OUTREG"),
        .CLKAMUX("CLKA"), .CLKBMUX("CLKB"), .GSR("DISABLED")
      ) ram (
        .CLKA(clk), .CEA(1'b1), .OCEA(1'b1), .WEA(1'b0), .RSTA(1'b0), .CSA0(1'b0), .CSA1(1'b0), .CSA2(1'b0),
        .CLKB(clk), .CEB(1'b1), .OCEB(1'b1), .WEB(1'b0), .RSTB(1'b0), .CSB0(1'b0), .CSB1(1'b0), .CSB2(1'b0),
        .ADA0(address_a[0]), .ADA1(address_a[1]), .ADA2(address_a[2]), .ADA3(address_a[3]), .ADA4(address_a[4]), .ADA5(address_a[5]),
        .ADA6(address_a[6]), .ADA7(address_a[7]), .ADA8(address_a[8]), .ADA9(address_a[9]), .ADA10(address_a[10]), .ADA11(address_a[11]),
        .ADA12(address_a[12]), .ADA13(address_a[13]),
        .ADB0(address_b[0]), .ADB1(address_b[1]), .ADB2(address_b[2]), .ADB3(address_b[3]), .ADB4(address_b[4]), .ADB5(address_b[5]),
        .ADB6(address_b[6]), .ADB7(address_b[7]), .ADB8(address_b[8]), .ADB9(address_b[9]), .ADB10(address_b[10]), .ADB11(address_b[11]),
        .ADB12(address_b[12]), .ADB13(address_b[13]),
        .DOA0(out_a[0]), .DOA1(out_a[1]), .DOA2(out_a[2]), .DOA3(out_a[3]), .DOA4(out_a[4]), .DOA5(out_a[5]),
        .DOA6(out_a[6]), .DOA7(out_a[7]), .DOA8(out_a[8]), .DOA9(out_a[9]), .DOA10(out_a[10]), .DOA11(out_a[11]),
        .DOA12(out_a[12]), .DOA13(out_a[13]), .DOA14(out_a[14]), .DOA15(out_a[15]), .DOA16(out_a[16]), .DOA17(out_a[17]),
        .DOB0(out_b[0]), .DOB1(out_b[1]), .DOB2(out_b[2]), .DOB3(out_b[3]), .DOB4(out_b[4]), .DOB5(out_b[5]),
        .DOB6(out_b[6]), .DOB7(out_b[7]), .DOB8(out_b[8]), .DOB9(out_b[9]), .DOB10(out_b[10]), .DOB11(out_b[11]),
        .DOB12(out_b[12]), .DOB13(out_b[13]), .DOB14(out_b[14]), .DOB15(out_b[15]), .DOB16(out_b[16]), .DOB17(out_b[17])
      );
      /* verilator lint_on PINMISSING */
    end
  endgenerate
`else
  (* rom_style = "block", ram_style = "block" *)
  reg [WIDTH-1:0] memory [0:DEPTH-1];
  reg [WIDTH-1:0] word, later;
  integer i;
  initial for (i = 0; i < DEPTH; i = i + 1) memory[i] = INIT[i*WIDTH +: WIDTH];
  always @(posedge clk) begin
    word <= memory[address];
    later <= word;
  end
  assign data = later;
`endif
endmodule
