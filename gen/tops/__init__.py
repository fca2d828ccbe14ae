"""Top levels around a design: frames at its ports, a serial line, AXI."""
