// spikeloom_counts: COUNT additions y = a + b + (c & cx) of WIDTH bits, WIDTH + 1 bits each, the first lowest; c is one
// bit. With GATED, it is y = (a & ax) + (b & bx) + (c & cx). Without, ax and bx are not looked at. With INVERTS there is
// a ^ in place of every &: ax, bx and cx invert the summands.
//
// Synthesis takes the smallest form of a device where one of SPIKELOOM_ECP5, SPIKELOOM_XC7, SPIKELOOM_ICE40 is defined
// when this file is read (Yosys: read_verilog -DSPIKELOOM_ECP5). The results are the same.
module spikeloom_counts (a, ax, b, bx, c, cx, y);
  parameter COUNT = 1;
  parameter WIDTH = 1;
  parameter GATED = 1;
  parameter INVERTS = 0;
  input [COUNT*WIDTH-1:0] a, b;
  input [COUNT-1:0] ax, bx, c, cx;
  output [COUNT*(WIDTH+1)-1:0] y;
  // The additions lie in one carry chain. Its first place makes the carry c & cx of the first one. The place behind the
  // bits of each passes its carry on as a sum, and makes the carry of the next, so a third summand of one bit is free.
  genvar i;
  wire unused = &{1'b0, ax, bx};  // some forms need none of them
`ifdef SPIKELOOM_ECP5
  localparam SIZE = COUNT * (WIDTH + 1) + 1;
  // Half a CCU2C a place: propagate (A & B) ^ (C & D), generate A & B; between the additions nothing is propagated. The
  // generate table is the lowest quarter of the propagate table, so C = D = 0 must leave the first summand alone.
  localparam [15:0] BITS = GATED != 0 && INVERTS != 0 ? 16'h6996 : 16'h7888;
  localparam [15:0] THIRD = INVERTS != 0 ? 16'h0006 : 16'h0008;
  wire [SIZE:0] pa, pb, pc, pd;
  wire [(SIZE+1)/2*2-1:0] ps;
  wire [(SIZE+1)/2:0] carry;
  wire unused_cells = &{1'b0, pa, pb, pc, pd, ps, carry};
  assign carry[0] = 1'b0;
  assign y = ps[SIZE-1:1];
  generate
    for (i = 0; i < SIZE + 1; i = i + 1) begin : place
      if (i < SIZE && i % (WIDTH + 1) > 0) begin : bit_
        assign pa[i] = a[i - 1 - i / (WIDTH + 1)];
        assign pb[i] = GATED != 0 ? ax[i / (WIDTH + 1)] : 1'b1;
        assign pc[i] = b[i - 1 - i / (WIDTH + 1)];
        assign pd[i] = GATED != 0 ? bx[i / (WIDTH + 1)] : 1'b1;
      end else if (i < SIZE - 1) begin : third
        assign pa[i] = c[i / (WIDTH + 1)];
        assign pb[i] = cx[i / (WIDTH + 1)];
        assign {pc[i], pd[i]} = 2'b11;
      end else begin : end_
        assign {pa[i], pb[i], pc[i], pd[i]} = 4'b1111;
      end
    end
    for (i = 0; i < SIZE; i = i + 2) begin : slice
      CCU2C #(
        .INIT0(i % (WIDTH + 1) == 0 ? THIRD : BITS),
        .INIT1((i + 1) % (WIDTH + 1) == 0 || i + 1 >= SIZE ? THIRD : BITS),
        .INJECT1_0("NO"), .INJECT1_1("NO")
      ) cell_ (
        .CIN(carry[i / 2]), .COUT(carry[i / 2 + 1]),
        .A0(pa[i]), .B0(pb[i]), .C0(pc[i]), .D0(pd[i]), .S0(ps[i]),
        .A1(pa[i + 1]), .B1(pb[i + 1]), .C1(pc[i + 1]), .D1(pd[i + 1]), .S1(ps[i + 1])
      );
    end
  endgenerate
`elsif SPIKELOOM_XC7
  localparam SIZE = COUNT * (WIDTH + 1) + 1;
  // A LUT6_2 a bit: propagate at O6, the first summand at O5, into a CARRY4.
  wire [SIZE+2:0] propagate, first, sum;
  wire [(SIZE+3)/4:0] carry;
  wire unused_cells = &{1'b0, sum, carry};
  assign carry[0] = 1'b0;
  assign y = sum[SIZE-1:1];
  generate
    for (i = 0; i < SIZE + 3; i = i + 1) begin : place
      if (i < SIZE && i % (WIDTH + 1) > 0) begin : bit_
        if (GATED != 0) begin : gated
          LUT6_2 #(.INIT(INVERTS != 0 ? 64'h6996699666666666 : 64'h7888788888888888)) lut (
            .I0(a[i - 1 - i / (WIDTH + 1)]), .I1(ax[i / (WIDTH + 1)]),
            .I2(b[i - 1 - i / (WIDTH + 1)]), .I3(bx[i / (WIDTH + 1)]),
            .I4(1'b0), .I5(1'b1), .O6(propagate[i]), .O5(first[i])
          );
        end else begin : plain
          assign propagate[i] = a[i - 1 - i / (WIDTH + 1)] ^ b[i - 1 - i / (WIDTH + 1)];
          assign first[i] = a[i - 1 - i / (WIDTH + 1)];
        end
      end else begin : third
        assign propagate[i] = 1'b0;
        if (i < SIZE - 1) begin : carry_in
          assign first[i] = INVERTS != 0 ? c[i / (WIDTH + 1)] ^ cx[i / (WIDTH + 1)] :
                            c[i / (WIDTH + 1)] & cx[i / (WIDTH + 1)];
        end else begin : end_
          assign first[i] = 1'b0;
        end
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
      wire [WIDTH-1:0] pg = GATED == 0 ? p : INVERTS != 0 ? p ^ {WIDTH{ax[i]}} : p & {WIDTH{ax[i]}};
      wire [WIDTH-1:0] qg = GATED == 0 ? q : INVERTS != 0 ? q ^ {WIDTH{bx[i]}} : q & {WIDTH{bx[i]}};
      wire third = INVERTS != 0 ? c[i] ^ cx[i] : c[i] & cx[i];
      assign y[i*(WIDTH+1)+:WIDTH+1] = {1'b0, pg} + {1'b0, qg} + {{WIDTH{1'b0}}, third};
    end
  endgenerate
`endif
endmodule
