// spikeloom_register_file: DEPTH words of WIDTH bits in registers without a reset. rdata is the word at raddr in the
// same cycle; a word that is written is there from the next one on.
module spikeloom_register_file (clk, we, waddr, wdata, raddr, rdata);
  parameter DEPTH = 16;
  parameter WIDTH = 4;
  parameter ADDRESS = 4;
  input clk, we;
  input [ADDRESS-1:0] waddr, raddr;
  input [WIDTH-1:0] wdata;
  output [WIDTH-1:0] rdata;
  reg [WIDTH-1:0] words [0:DEPTH-1];
  always @(posedge clk)
    if (we) words[waddr] <= wdata;
  assign rdata = words[raddr];
endmodule
