"""``python -m spikeloom``, which is what ``torchrun -m spikeloom`` starts."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
