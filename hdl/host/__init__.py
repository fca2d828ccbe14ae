"""What joins a design to a host: AXI, UART, packets, replies."""
