"""The columns of the tables: metrics, and what they are called there."""

__all__ = ["AREA", "BULK", "CLOCK", "EXPLORED", "NETLIST", "OTHER_RESNETS", "PLACED", "RESNETS", "SPEED", "SPIKING",
           "SPREAD", "XC7"]  # fmt: skip

AREA = {
    "cycles_per_frame": "cycles a frame",
    "latency_cycles": "latency",
    "lut4_eq": "LUT4-eq.",
    "lut_ram": "LUT RAM",
    "ff": "FF",
    "ebr": "EBR",
    "mult": "MULT",
    "lut4_eq_x_cycles": "LUT4-eq. x cycles",
}
XC7 = {
    "cycles_per_frame": "cycles a frame",
    "xc7_lut": "LUT",
    "xc7_lutram": "LUT RAM cells",
    "xc7_ff": "FF",
    "xc7_dsp": "DSP48",
    "xc7_ramb18": "RAMB18",
    "xc7_ramb36": "RAMB36",
}
SPREAD = {"mhz": "MHz", "median_mhz": "median of the seeds", "min_mhz": "slowest", "seeds": "seeds"}
CLOCK = {**SPREAD, "frames_per_s": "frames/s"}
RESNETS = ("resnet20", "resnet20-fast", "resnet20-t3", "resnet20-skip")
OTHER_RESNETS = {
    "frames_per_s": "frames/s",
    "mhz": "MHz",
    "luts": "LUTs",
    "mult": "multipliers",
    "watts": "W",
}
PLACED = {
    "device_kluts": "ECP5, 1,000 LUTs",
    "cycles_per_frame": "cycles a frame",
    "latency_cycles": "latency",
    "lut4_eq": "LUT4-eq.",
    "comb": "placed LUTs",
    "ff": "FF",
    "ebr": "EBR",
    "mult": "MULT",
    "lut4_eq_per_mac": "LUT4-eq. per MAC a cycle",
    **CLOCK,
    "bottleneck_percent": "busiest stage, % of cycles",
}
SPEED = {
    "verilator_cycles_per_s": "Verilator, cycles/s",
    "cocotb_cycles_per_s": "cocotb on Verilator, cycles/s",
    "amaranth_cycles_per_s": "Amaranth, cycles/s",
    "generate_seconds": "generation, s",
}
BULK = {
    "frames": "frames",
    "boundaries": "boundaries",
    "cycles": "cycles",
    "transfers": "transfers",
    "bulk_seconds": "s, two jobs",
    "cocotb_seconds": "s, cocotb on Verilator",
    "times_faster": "times faster",
}
NETLIST = {
    "frames": "frames",
    "boundaries": "boundaries",
    "cycles": "cycles",
    "transfers": "transfers",
    "luts": "LUT4",
    "registers": "FF",
    "rams": "block RAM",
    "netlist_seconds": "s",
    "build_seconds": "s to build",
}

EXPLORED = {
    "designs": "size of the space",
    "front": "on the front",
    "table_seconds": "tables of folds",
    "front_seconds": "exact front",
    "labels": "labels",
    "designs_per_s": "evaluation",
    "points": "whole exploration",
    "explore_seconds": "whole exploration",
    "rates_seconds": "best fold for each",
    "simulated": "simulated",
    "simulated_cycles": "simulated",
    "synthesised": "synthesised",
    "error_median_percent": "LUTs of the model, median error",
    "error_worst_percent": "LUTs of the model, worst error",
    "scale": "correction",
    "calibrated_median_percent": "corrected, median error",
    "calibrated_worst_percent": "corrected, worst error",
    "ff_worst_percent": "flip-flops of the model, worst error",
    "ebr_equal": "block RAMs equal",
}

SPIKING = {
    "accuracy_percent": "accuracy, %",
    "operations": "operations",
    "nanojoules": "nJ",
    "cycles_per_frame": "cycles",
    "latency_cycles": "latency",
    "luts_model": "LUTs, model",
    "lut4_eq": "LUT4-eq., Yosys",
    "ff_model": "FF, model",
    "ebr": "EBR",
    "area_time": "M LUTs x cycles",
    "fastest_frames_per_s": "fastest, frames/s",
}
