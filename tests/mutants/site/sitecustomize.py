"""Python imports this first: a process that a test starts gets the mutant too."""

import os
import sys
from pathlib import Path

if os.environ.get("SPIKELOOM_MUTANT"):
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    from tests.mutants import hook

    hook.install_from_environment()
    sys.path.pop()
