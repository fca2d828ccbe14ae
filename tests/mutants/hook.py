"""Serves changed versions of modules when they are imported: with a mutation in it, or with marks that tell which
statements run. Files are never written.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from . import operators

__all__ = ["ENVIRONMENT", "ROOT", "install", "install_from_environment", "install_marks", "module_name"]

ROOT = Path(__file__).resolve().parents[2]

ENVIRONMENT = "SPIKELOOM_MUTANT"
"""The mutant as JSON (file, index), for the processes that a test starts."""

Transform = Callable[[str], ast.Module]


def module_name(file: str) -> str:
    """``hdl/cores/pool/core.py`` as it is imported."""
    return "spikeloom." + file.removesuffix(".py").replace("/", ".")


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, transform: Transform) -> None:
        super().__init__(fullname, path)
        self.transform = transform

    def get_code(self, fullname: str) -> CodeType:
        tree = self.transform(Path(self.path).read_text())
        return compile(tree, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, transforms: dict[str, tuple[Path, Transform]]) -> None:
        self.transforms = transforms

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.transforms:
            return None
        file, transform = self.transforms[fullname]
        return importlib.util.spec_from_file_location(
            fullname, file, loader=_Loader(fullname, str(file), transform)
        )


def install(file: str, index: int, root: Path = ROOT) -> None:
    """Import ``file`` with mutation number ``index`` from now on, here and in the processes started from here."""
    transform: Transform = lambda source: operators.mutated(source, index)  # noqa: E731
    sys.meta_path.insert(0, _Finder({module_name(file): (root / file, transform)}))
    os.environ[ENVIRONMENT] = json.dumps([file, index])
    # cocotb rewrites the assertions of its test modules by a finder of its own, which would come before this one.
    os.environ["COCOTB_REWRITE_ASSERTION_FILES"] = ""
    site = str(Path(__file__).with_name("site"))
    if site not in sys.path:  # cocotb hands this on to the Python inside a simulator
        sys.path.insert(0, site)  # before a sitecustomize of the system
    if site not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [site, os.environ.get("PYTHONPATH")]))


def install_from_environment() -> None:
    """What a process that a test starts does first."""
    if found := os.environ.get(ENVIRONMENT):
        install(*json.loads(found))


def install_marks(files: Sequence[str]) -> set[tuple[int, int]]:
    """Import ``files`` with marks; return the set that is filled with (number of the file, line) of what runs."""
    hits: set[tuple[int, int]] = set()
    builtins.__mutant_hit__ = hits.add  # pyright: ignore[reportAttributeAccessIssue]
    transforms = {
        module_name(file): (ROOT / file, lambda source, number=number: _marked(source, number))
        for number, file in enumerate(files)
    }
    sys.meta_path.insert(0, _Finder(transforms))
    return hits


def _marked(source: str, number: int) -> ast.Module:
    """The syntax tree with a mark before every statement."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                setattr(node, name, [line for child in block for line in _with_mark(child, number)])
    return ast.fix_missing_locations(tree)


def _with_mark(node: ast.stmt, number: int) -> list[ast.stmt]:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if text or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
        return [node]
    mark = ast.Expr(
        ast.Call(
            ast.Name("__mutant_hit__", ast.Load()),
            [ast.Tuple([ast.Constant(number), ast.Constant(node.lineno)], ast.Load())],
            [],
        )
    )
    return [ast.copy_location(mark, node), node]
