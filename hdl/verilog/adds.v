// spikeloom_adds: COUNT gated additions y = (a & ax) + (b & bx) of WIDTH bits, WIDTH + 1 bits each, the first lowest.
// With SIGNED, a is two's complement, b is b + 2**(WIDTH-1) (its sign bit inverted), bn = ~bx, and
// y = a * ax + b * bx + 2**WIDTH, which is never negative. Without GATED, ax, bx and bn are not looked at.
//
// Synthesis takes the smallest form of a device where one of SPIKELOOM_ECP5, SPIKELOOM_XC7, SPIKELOOM_ICE40 is defined
// when this file is read (Yosys: read_verilog -DSPIKELOOM_ECP5). The results are the same.
module spikeloom_adds (a, ax, b, bx, bn, y);
  parameter COUNT = 1;
  parameter WIDTH = 4;
  parameter SIGNED = 0;
  parameter GATED = 1;
  input [COUNT*WIDTH-1:0] a, b;
  input [COUNT-1:0] ax, bx, bn;
  output [COUNT*(WIDTH+1)-1:0] y;
  // The additions lie in one carry chain. Bit WIDTH of each passes its carry on as a sum and ends it, for without
  // negative numbers nothing else is to be added there; so the next addition starts without a carry.
  genvar i;
  wire unused = &{1'b0, ax, bx, bn};  // some forms need none of them
`ifdef SPIKELOOM_ECP5
  localparam SIZE = COUNT * (WIDTH + 1);
  // Half a CCU2C a bit: propagate (A & B) ^ (C & D), generate A & B; at the sign bits ~(A & B) ^ (C | D), ~(A & B).
  // The generate table is the lowest quarter of the propagate table, so C = D = 0 must leave the first summand alone.
  wire [SIZE+1:0] pa, pb, pc, pd;
  wire [(SIZE+1)/2*2-1:0] ps;
  wire [(SIZE+1)/2:0] carry;
  wire unused_cells = &{1'b0, pa, pb, pc, pd, ps, carry};
  assign carry[0] = 1'b0;
  assign y = ps[SIZE-1:0];
  generate
    for (i = 0; i < SIZE + 2; i = i + 1) begin : place
      if (i < SIZE && i % (WIDTH + 1) < WIDTH) begin : bit_
        assign pa[i] = a[i - i / (WIDTH + 1)];
        assign pb[i] = GATED != 0 ? ax[i / (WIDTH + 1)] : 1'b1;
        assign pc[i] = b[i - i / (WIDTH + 1)];
        assign pd[i] = GATED == 0 ? 1'b1 :
                       SIGNED != 0 && i % (WIDTH + 1) == WIDTH - 1 ? bn[i / (WIDTH + 1)] : bx[i / (WIDTH + 1)];
      end else begin : end_
        assign {pa[i], pb[i], pc[i], pd[i]} = 4'b1111;
      end
    end
    for (i = 0; i < SIZE; i = i + 2) begin : slice
      CCU2C #(
        .INIT0(i % (WIDTH + 1) == WIDTH ? 16'h0000 :
               SIGNED != 0 && i % (WIDTH + 1) == WIDTH - 1 ? 16'h8887 : 16'h7888),
        .INIT1(i + 1 >= SIZE || (i + 1) % (WIDTH + 1) == WIDTH ? 16'h0000 :
               SIGNED != 0 && (i + 1) % (WIDTH + 1) == WIDTH - 1 ? 16'h8887 : 16'h7888),
        .INJECT1_0("NO"), .INJECT1_1("NO")
      ) cell_ (
        .CIN(carry[i / 2]), .COUT(carry[i / 2 + 1]),
        .A0(pa[i]), .B0(pb[i]), .C0(pc[i]), .D0(pd[i]), .S0(ps[i]),
        .A1(pa[i + 1]), .B1(pb[i + 1]), .C1(pc[i + 1]), .D1(pd[i + 1]), .S1(ps[i + 1])
      );
    end
  endgenerate
`elsif SPIKELOOM_XC7
  localparam SIZE = COUNT * (WIDTH + 1);
  // A LUT6_2 a bit: propagate at O6, the first summand at O5, into a CARRY4.
  wire [SIZE+3:0] propagate, first, sum;
  wire [SIZE/4+1:0] carry;
  wire unused_cells = &{1'b0, sum, carry};
  assign carry[0] = 1'b0;
  assign y = sum[SIZE-1:0];
  generate
    for (i = 0; i < SIZE + 4; i = i + 1) begin : place
      if (i < SIZE && i % (WIDTH + 1) < WIDTH) begin : bit_
        if (GATED != 0) begin : gated
          LUT6_2 #(.INIT(SIGNED != 0 && i % (WIDTH + 1) == WIDTH - 1 ? 64'h8887888777777777 : 64'h7888788888888888)) lut (
            .I0(a[i - i / (WIDTH + 1)]), .I1(ax[i / (WIDTH + 1)]), .I2(b[i - i / (WIDTH + 1)]),
            .I3(SIGNED != 0 && i % (WIDTH + 1) == WIDTH - 1 ? bn[i / (WIDTH + 1)] : bx[i / (WIDTH + 1)]),
            .I4(1'b0), .I5(1'b1), .O6(propagate[i]), .O5(first[i])
          );
        end else begin : plain
          assign propagate[i] = a[i - i / (WIDTH + 1)] ^ b[i - i / (WIDTH + 1)];
          assign first[i] = a[i - i / (WIDTH + 1)];
        end
      end else begin : end_
        assign propagate[i] = 1'b0;
        assign first[i] = 1'b0;
      end
    end
    for (i = 0; i < SIZE; i = i + 4) begin : slice
      wire [3:0] co;
      assign carry[i / 4 + 1] = co[3];
      CARRY4 cell_ (
        .CYINIT(1'b0), .CI(carry[i / 4]), .S(propagate[i+3:i]), .DI(first[i+3:i]), .O(sum[i+3:i]), .CO(co)
      );
    end
  endgenerate
`else
  generate
    for (i = 0; i < COUNT; i = i + 1) begin : sum
      wire [WIDTH-1:0] p = a[i*WIDTH+:WIDTH];
      wire [WIDTH-1:0] q = b[i*WIDTH+:WIDTH];
      if (GATED == 0) begin : plain
        assign y[i*(WIDTH+1)+:WIDTH+1] = {1'b0, p} + {1'b0, q};
      end else begin : gated
`ifdef SPIKELOOM_ICE40
        // The carry takes its inputs past the LUT, so gates would need LUTs of their own. One ungated sum serves all
        // gates instead, for equal sums are merged, and the gates choose among 0, a, b and the sum.
        localparam [WIDTH-1:0] SIGN = SIGNED != 0 ? 1 << (WIDTH - 1) : 0;
        wire [WIDTH:0] both = {1'b0, p ^ SIGN} + {1'b0, q};
        wire [WIDTH:0] only_a = {SIGNED != 0 ? ~p[WIDTH-1] : 1'b0, p};
        wire [WIDTH:0] only_b = {SIGNED != 0 ? q[WIDTH-1] : 1'b0, q ^ SIGN};
        assign y[i*(WIDTH+1)+:WIDTH+1] = ax[i] ? bx[i] ? both : only_a : bx[i] ? only_b : {SIGN, 1'b0};
`else
        wire [WIDTH-1:0] pg = p & {WIDTH{ax[i]}};
        wire [WIDTH-1:0] qg = q & {WIDTH{bx[i]}};
        if (SIGNED != 0) begin : offset
          wire [WIDTH-1:0] sign = 1 << (WIDTH - 1);
          assign y[i*(WIDTH+1)+:WIDTH+1] = {1'b0, pg ^ sign} + {1'b0, qg | (bn[i] ? sign : {WIDTH{1'b0}})};
        end else begin : positive
          assign y[i*(WIDTH+1)+:WIDTH+1] = {1'b0, pg} + {1'b0, qg};
        end
`endif
      end
    end
  endgenerate
`endif
endmodule
