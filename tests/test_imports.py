"""The direction of imports between the folders, and what importing them must not load."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("spikeloom", "sim", "gen", "hdl", "quant")

NUMPY_ONLY = ("quant.ir", "quant.files", "quant.extras")
"""The part of quant that needs no torch: the contract between PyTorch and hardware."""

BELOW = {
    "spikeloom": {"spikeloom", "sim", "gen", "hdl", "quant"},
    "sim": {"sim", "gen", "hdl", "quant"},
    "gen": {"gen", "hdl"},
    "hdl": {"hdl"},
    "quant": {"quant"},
}
"""What the modules of a folder may import as a whole, NUMPY_ONLY aside."""

METHODS = "quant.methods"
"""The published methods. Of all that is not one of them a recipe's file, a training and a conversion alone know them,
by name."""

METHODS_BY_NAME = "quant.methods.registry"
OF_METHODS = ("quant.recipe", "quant.training.train", "quant.convert")

BELOW_FRONT_ENDS = ("quant.frontends", "quant.ir", "quant.files")
"""What front ends may import of this project: they know nothing of what becomes of a float graph. Those of files read
them with bounds."""

FOREIGN = {
    "hdl": {"amaranth", "numpy"},
    "quant": {"numpy", "torch", "safetensors", "sklearn", "rich", "PIL", "onnx", "nir", "h5py"},
}
"""Packages outside the standard library, where they are restricted."""

MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """``quant.methods.qcfs``, or the package for an ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def installed_name(module: str) -> str:
    """The name under which ``module`` is imported."""
    return module if module.split(".")[0] == "spikeloom" else f"spikeloom.{module}"


NAMES = {module_name(path) for path in MODULES}


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in ``source`` of ``package`` (installed name), relative ones made absolute;
    modules of this project by their folder: ``gen.lowering.plan``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package if node.level else ""
            base = ".".join(filter(None, (base, node.module)))
            found = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in found:
            inner = name.removeprefix("spikeloom.")
            if name.startswith("spikeloom.") and inner.split(".")[0] in FOLDERS:
                while inner not in NAMES and "." in inner:  # the last part is a name in the module
                    inner = inner.rpartition(".")[0]
                yield node.lineno, inner
            else:
                yield node.lineno, name


def inside(module: str, package: str) -> bool:
    """Whether ``module`` is ``package`` or in it."""
    return module == package or module.startswith(f"{package}.")


def violations(module: str, source: str, *, package: bool = False) -> list[str]:
    """What ``source`` of ``module`` imports against the rules."""
    folder, name = module.split(".")[0], installed_name(module)
    found = []
    for line, target in imports(source, name if package else name.rpartition(".")[0]):
        top = target.split(".")[0]
        if top in FOLDERS:
            allowed = top in BELOW[folder] or (folder != "hdl" and target.startswith(NUMPY_ONLY))
            if inside(target, METHODS) and not inside(module, METHODS):
                allowed = module in OF_METHODS and target == METHODS_BY_NAME
            if inside(module, "quant.frontends"):
                allowed = any(inside(target, below) for below in BELOW_FRONT_ENDS)
        else:
            allowed = top in sys.stdlib_module_names or top in FOREIGN.get(folder, {top})
            allowed = allowed and not (folder == "gen" and top == "torch")
        if not allowed:
            found.append(f"{module}:{line} imports {target}")
    return found


def test_all_folders_have_modules() -> None:
    assert {name.split(".")[0] for name in NAMES} == set(FOLDERS)


def test_all_folders_with_modules_are_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """setup.py finds packages, nobody lists them; a folder with modules that it does not find is not in the wheel."""
    told: dict[str, list[str]] = {}
    monkeypatch.setattr(setuptools, "setup", lambda **settings: told.update(settings))
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in MODULES}
    assert {installed_name(folder) for folder in folders} <= set(told["packages"])


def test_the_direction_of_imports() -> None:
    found = [
        v
        for path in MODULES
        for v in violations(module_name(path), path.read_text(), package=path.name == "__init__.py")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("hdl.bounds", "from ..gen.plan import Fold", True),
        ("hdl.bounds", "from ..quant.ir.network import Network", True),
        ("hdl.bounds", "import scipy", True),
        ("hdl.bounds", "from amaranth.lib import wiring\nimport numpy as np\nfrom .cores.synapse import adders", False),
        ("gen.design", "from ..quant.ir.network import Network\nfrom ..hdl import law", False),
        ("gen.design", "from ..quant import golden", True),
        ("gen.design", "from ..quant.golden import run", True),
        ("gen.design", "from ..sim.verify import verify", True),
        ("gen.design", "def f():\n    import torch", True),
        ("sim.predict", "from ..quant import golden\nfrom ..gen.design import Design", False),
        ("sim.predict", "from ..cli import main", True),
        ("sim.predict", "from spikeloom.cli import main", True),
        ("quant.golden", "from ..hdl.words import WordFormat", True),
        ("quant.golden", "import amaranth", True),
        ("quant.methods.qcfs.algorithm", "from ...ir.network import Network", False),
        ("quant.methods.qcfs.algorithm", "from ....gen.plan import Fold", True),
        ("quant.qat.stage", "from ..methods.qcfs.algorithm import QCFS", True),
        ("quant.conversion.reals", "def f():\n    from ..methods import qcfs", True),
        ("quant.frontends.layers", "from ..methods.registry import METHODS", True),
        ("quant.frontends.layers", "from ..conversion.rounding import round_ste", True),
        ("quant.frontends.layers", "from ..files.texts import parse_json", False),
        ("quant.frontends.layers", "from ..ir.ops import NetworkError\nfrom .activations import QCFS", False),
        ("quant.training.train", "from ..methods.registry import phases_of", False),
        ("quant.training.train", "from ..methods.qcfs.run import phases", True),
        ("quant.methods.start", "from .qcfs.algorithm import QCFS\nfrom ..recipe import Recipe", False),
        ("sim.predict", "from ..quant.methods.qcfs import QCFS", True),
        ("spikeloom.cli", "from .sim.verify import verify\nfrom .quant import golden\nimport typer", False),
    ],
)
def test_the_scan_finds_what_it_must(module: str, source: str, wrong: bool) -> None:
    assert bool(violations(module, source)) == wrong


def loaded(folders: tuple[str, ...], forbidden: str) -> str:
    """Import all modules of ``folders`` in a new process; return the modules of ``forbidden`` that this loads."""
    names = [installed_name(n) for n in sorted(NAMES) if n.split(".")[0] in folders]
    assert len(names) > 5
    script = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print([name for name in sys.modules if name.split('.')[0] == {forbidden!r}][:3])"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_hardware_is_generated_without_torch() -> None:
    assert loaded(("gen", "hdl"), "torch") == "[]"


def test_networks_are_trained_without_amaranth() -> None:
    assert loaded(("quant",), "amaranth") == "[]"
