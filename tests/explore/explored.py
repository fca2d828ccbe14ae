"""Runs jobs in two workers, for tests that kill it: explored.py STORE JOBS, where JOBS is a JSON list of [work,
arguments]. Prints the number of jobs done whenever it changes."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from spikeloom.explore import jobs
from spikeloom.explore.store import Store

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
    wanted = [jobs.Job(work, arguments) for work, arguments in json.loads(sys.argv[2])]
    told = sys.stdout
    jobs.run(wanted, Store(Path(sys.argv[1])), workers=2, progress=lambda _, n, __: print(n, file=told, flush=True))
