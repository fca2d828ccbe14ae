"""From an integer network and a fold to a design: plan, cycle law, cost, Verilog."""
