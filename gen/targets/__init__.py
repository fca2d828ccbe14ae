"""What designs are made for: FPGAs, ASICs, boards, and the tools that know them."""
