// spikeloom_ram: DEPTH words of WIDTH bits, a port that writes and one that reads, on one clock. rdata is the word at
// raddr of one cycle ago where re was high, and stays where it was low. No contents to begin with; a word that is
// written in the cycle in which it is read is never used. The model of a macro: with SPIKELOOM_MACROS it is left out.
`ifndef SPIKELOOM_MACROS
module spikeloom_ram (clk, we, waddr, wdata, re, raddr, rdata);
  parameter DEPTH = 512;
  parameter WIDTH = 36;
  parameter ADDRESS = 9;
  input clk, we, re;
  input [ADDRESS-1:0] waddr, raddr;
  input [WIDTH-1:0] wdata;
  output reg [WIDTH-1:0] rdata;
  reg [WIDTH-1:0] words [0:DEPTH-1];
  always @(posedge clk) begin
    if (we) words[waddr] <= wdata;
    if (re) rdata <= words[raddr];
  end
endmodule
`endif
