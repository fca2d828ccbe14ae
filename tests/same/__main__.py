"""Compare what comes out of the sources with what came out of those of a commit: ``python -m tests.same``.

Hashes of networks, of golden outputs, of Verilog, ``design.json`` and other files, of predicted cycles, of the words
by the core models, and of the weights of short trainings, one of which goes on from a checkpoint of the commit. Ends
with status 1 where any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "same"
COLLECT = Path(__file__).with_name("collect.py")
FOLDERS = ("hdl", "gen", "quant", "sim", "examples", "models")
NAMES = "names aside"


def main() -> int:
    """Collect twice, compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.same", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--base", default="HEAD", metavar="COMMIT", help="compared with these sources (HEAD)")
    parser.add_argument("--full", action="store_true", help="all networks, and two searches")
    parser.add_argument("--names", action="store_true", help="other names in the Verilog, and nothing else, may differ")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (2)")
    options = parser.parse_args()
    console = Console()
    commit = subprocess.run(["git", "rev-parse", "--verify", f"{options.base}^{{commit}}"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.strip()
    before, cases = records_of(commit, options.full, options.jobs, console)
    now = collect(ROOT, BUILD / "now", cases, "sources", options.full, options.jobs, console)
    return report(before, now, options.names, commit, console)


def records_of(commit: str, full: bool, jobs: int, console: Console) -> tuple[dict[str, dict[str, str]], Path]:
    """The records of a commit, and its cases; kept, for they do not change."""
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(COLLECT.parent.rglob("*.*"))
                                  if path.suffix in (".py", ".toml"))).hexdigest()[:8]
    folder = BUILD / f"{commit[:12]}-{key}{'-full' * full}"
    if not (folder / "records.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "tree").mkdir()
        packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(folder / "tree")], input=packed, check=True)
        collect(folder / "tree", folder, folder / "cases", commit[:12], full, jobs, console, prepare=True)
    return json.loads((folder / "records.json").read_text()), folder / "cases"


def collect(tree: Path, folder: Path, cases: Path, title: str, full: bool, jobs: int, console: Console, *,
            prepare: bool = False) -> dict[str, dict[str, str]]:
    """The records of ``tree``, by a Python of its own that finds the package there; files go to ``folder``."""
    package = folder / "path" / "spikeloom"
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for path in (tree / "spikeloom").iterdir():
        (package / path.name).symlink_to(path)
    for name in FOLDERS:
        if (tree / name).is_dir():
            (package / name).symlink_to(tree / name)
    out = folder / "records.json.new"
    command = [sys.executable, COLLECT, tree, cases, out, "--jobs", str(jobs), *(["--full"] * full),
               *(["--prepare"] * prepare)]
    variables = {"PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"{title}: random networks" if prepare else title, total=None)
        process = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            done, total, name = line.split(" ", 2)
            progress.update(task, completed=int(done), total=int(total), description=f"{title}: {name.strip()}")
    if process.wait():
        raise SystemExit(f"The sources of {title} failed")
    out.replace(folder / "records.json")
    return json.loads((folder / "records.json").read_text())


def report(before: dict[str, dict[str, str]], now: dict[str, dict[str, str]], names: bool, commit: str,
           console: Console) -> int:
    """Print what differs; the exit status."""
    table = Table("what", "differs in", title=f"Not as with {commit[:12]}", title_justify="left")
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old is None or new is None:
            table.add_row(name, f"only {'with the commit' if new is None else 'with the sources'}")
        elif different := differences(old, new, names):
            table.add_row(name, ", ".join(different))
    errors = [name for name, record in now.items() if "error" in record]
    for name in errors:
        console.print(f"error: {name}: {now[name]['error']}", markup=False)
    entries = sum(len(record) for record in now.values())
    if table.row_count:
        console.print(table)
    else:
        console.print(f"the same as with {commit[:12]}: {entries} hashes of {len(now)} things")
    return 1 if table.row_count or errors else 0


def differences(old: dict[str, str], new: dict[str, str], names: bool) -> list[str]:
    """The keys of two records that differ. ``names``: names in the Verilog may, and with them what holds names or
    hashes of it; all else may not."""
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    if names and old.get(NAMES) == new.get(NAMES):
        return [key for key in keys if not key.endswith((".v", ".json", ".vlt", ".core", ".f", ".py"))]
    return keys


if __name__ == "__main__":
    sys.exit(main())
