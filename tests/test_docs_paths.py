"""Every file, folder and module that a document of the project names is there, and so is what a link leads to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
PACKAGES = ("gen", "hdl", "quant", "sim", "spikeloom")
TOP = (*PACKAGES, "benchmarks", "docs", "examples", "models", "tests")
PATH = re.compile(rf"(?<![\w./<-])((?:{'|'.join(TOP)})/[\w./*{{}},-]*)")
MODULE = re.compile(rf"(?<![\w./-])((?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+)(?![\w/-])")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def expanded(name: str) -> Iterator[str]:
    """``a/{b,c}.py`` as ``a/b.py`` and ``a/c.py``."""
    parts = re.split(r"\{([^}]*)\}", name)
    for choice in product(*(part.split(",") if k % 2 else [part] for k, part in enumerate(parts))):
        yield "".join(choice)


def is_module(name: str) -> bool:
    """Whether ``gen.folding.rates`` is a module, or names something in one; ``spikeloom.quant`` is ``quant``."""
    parts = name.split(".")
    if parts[0] == "spikeloom" and parts[1] in PACKAGES:
        parts = parts[1:]
    for length in range(len(parts), 0, -1):
        place, rest = ROOT.joinpath(*parts[:length]), parts[length:]
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                named = not rest or re.search(rf"\b{rest[0]}\b", file.read_text()) is not None
                return named and (not rest or length > 1 or parts[0] == "spikeloom")
    return False


def missing(document: Path, text: str) -> list[str]:
    """What ``text`` of ``document`` names and is not there."""
    found = []
    for match in PATH.finditer(text):
        for name in expanded(match[1].rstrip(".,-")):
            if not any(ROOT.glob(name.rstrip("/"))):
                found.append(name)
    found += [match[1] for match in MODULE.finditer(text) if not is_module(match[1])]
    for target in LINK.findall(text):
        path = target.partition("#")[0]
        if path and "://" not in target and not (document.parent / path).exists():
            found.append(target)
    return found


def test_all_that_documents_name_is_there() -> None:
    assert {"README.md", "architecture.md"} <= {path.name for path in DOCUMENTS}
    wrong = {str(path.relative_to(ROOT)): found for path in DOCUMENTS if (found := missing(path, path.read_text()))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("`gen/design.py`, `hdl/streams/`, `tests/hdl/test_formal*.py` and `quant/{ir,qat}`", []),
        ("(`gen/cost_*.py`, `hdl/nothing`)", ["gen/cost_*.py", "hdl/nothing"]),
        ("`hdl/{cores,rooms}/`", ["hdl/rooms/"]),
        ("`gen.folding.rates`, `spikeloom.quant.golden.run`, spikeloom.api", []),
        ("`gen.folding.nothing` and `quant.golden.walk`", ["gen.folding.nothing", "quant.golden.walk"]),
        ("`spikeloom.convert(net)`, spikeloom.nowhere()", ["spikeloom.nowhere"]),
        ("[the law](cycles.md#stage), [there](https://example.com/x.md), [gone](none.md)", ["none.md"]),
        ("out/hdl/x.py, build/types/gen/x.py, ./tests/none.py", []),
    ],
)
def test_what_counts_as_missing(text: str, wanted: list[str]) -> None:
    assert missing(ROOT / "docs" / "x.md", text) == wanted
