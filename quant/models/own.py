"""A model of the user's own by name: ``file.py:NAME`` or ``package.module:NAME``.

NAME is a module, a class, or a function that gives a module. The file is executed, as Python does with everything that
it imports: that is the user's wish, and whoever asks for a name says so. What goes wrong in it is told with the line
of the user's file, for ours would help nobody.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import sys
import traceback
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ..files.texts import near, shown

__all__ = ["OwnModelError", "check_logits", "is_own", "own_model"]

LISTED = 12
"""Names that a message lists at most."""

FOREIGN = (str(Path(__file__).resolve().parents[1]), str(Path(torch.__file__).parent), "<")
"""What the names of files begin with whose lines say nothing of an error in a user's file: quant, PyTorch, Python."""


class OwnModelError(ValueError):
    """A name that leads to no module; the message names the place in the user's file and the remedy."""


def is_own(name: str) -> bool:
    """Whether ``name`` is meant as a place, not as the name of a model of ``quant.models``."""
    return ":" in name or name.endswith(".py")


def own_model(
    spec: str, args: Mapping[str, Any] | None = None, *, offered: Mapping[str, Any] | None = None
) -> nn.Module:
    """The module that ``spec`` names, called with ``args`` where it is a class or a function.

    ``offered`` are arguments that it gets too where it has parameters of these names. What it prints goes to stderr.
    Raises OwnModelError.
    """
    place, _, name = spec.rpartition(":")
    if spec.endswith(".py"):
        raise OwnModelError(f"{spec}: which name in it? Say {spec}:NAME{_named(_outline(Path(spec)))}")
    if not place or not name:
        raise OwnModelError(f"{spec}: a model of your own is file.py:NAME or package.module:NAME")
    folder = Path(place).resolve().parent if place.endswith(".py") else Path.cwd()
    with _beside(folder), redirect_stdout(sys.stderr):
        module = _from_file(Path(place), spec) if place.endswith(".py") else _from_package(place, spec)
        found: Any = module
        for part in name.split("."):
            if not hasattr(found, part):
                known = _models(found)
                raise OwnModelError(f"{place} has no {name!r}{near(part, known)}{_named(known)}")
            found = getattr(found, part)
        return _module(spec, found, dict(args or {}), offered or {})


@torch.no_grad()
def check_logits(spec: str, model: nn.Module, shape: tuple[int, int, int], classes: int) -> None:
    """Raise OwnModelError where ``model`` does not give the logits of ``classes`` classes for images of ``shape``."""
    training = model.training
    with redirect_stdout(sys.stderr):
        logits = _run(spec, lambda: model.eval()(torch.zeros(2, *shape)))
    model.train(training)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != (2, classes):
        what = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise OwnModelError(
            f"{spec}: gives {what} for 2 images of {shape}, not (2, {classes}), the classes of the data"
        )


def _module(spec: str, found: Any, args: dict[str, Any], offered: Mapping[str, Any]) -> nn.Module:
    """The module that ``found`` is or gives."""
    if isinstance(found, nn.Module):
        if args:
            raise OwnModelError(f"{spec}: is a module already, so it takes no {min(args)!r}; name a class or function")
        return found
    if not callable(found):
        raise OwnModelError(f"{spec}: is {shown(found)}, neither a torch.nn.Module nor what makes one")
    try:
        signature = inspect.signature(found)
    except ValueError:  # of what is not written in Python
        signature = None
    if signature is not None:
        args = {key: value for key, value in offered.items() if key in signature.parameters} | args
        try:
            signature.bind(**args)
        except TypeError as error:
            raise OwnModelError(
                f"{spec}: {error}; it is called as {name_of(found)}{signature}: give its arguments (--arg NAME=VALUE, "
                "in a recipe model_args), or name a function that needs none"
            ) from None
    made = _run(spec, lambda: found(**args))
    if not isinstance(made, nn.Module):
        hint = "; a state dict belongs to --weights" if isinstance(made, Mapping) else ""
        raise OwnModelError(f"{spec}: gives a {type(made).__name__}, not a torch.nn.Module{hint}")
    return made


def name_of(found: Any) -> str:
    """What ``found`` is called."""
    return getattr(found, "__name__", type(found).__name__)


def _from_file(path: Path, spec: str) -> ModuleType:
    if not path.is_file():
        there = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise OwnModelError(f"{path}: no such file{near(path.name, there)}")
    name = f"_own_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):08x}"
    described = importlib.util.spec_from_file_location(name, path)
    if described is None or described.loader is None:
        raise OwnModelError(f"{path}: is not read as Python")
    module, loader = importlib.util.module_from_spec(described), described.loader
    sys.modules[name] = module  # dataclasses and pickles look there
    try:
        _run(spec, lambda: loader.exec_module(module))
    except OwnModelError:
        del sys.modules[name]
        raise
    return module


def _from_package(name: str, spec: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise OwnModelError(f"{spec}: {name!r} is neither a file NAME.py nor a module package.module")

    def imported() -> ModuleType:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                raise OwnModelError(
                    f"{spec}: there is no module {error.name!r}{near(error.name, _modules())}; run this in the folder "
                    "that it lies in, install it, or give file.py:NAME"
                ) from None
            raise

    return _run(spec, imported)


def _run(spec: str, work: Any) -> Any:
    """``work()``, whose errors are the user's."""
    try:
        return work()
    except (OwnModelError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise OwnModelError(
            f"{spec}: ends the program ({shown(error.code)}){_where(error)}; put what is to run as a program under "
            "if __name__ == '__main__':"
        ) from None
    except BaseException as error:
        line = next(iter(str(error).splitlines()), "")[:300]
        hint = ""
        if isinstance(error, ImportError) and "relative import" in line:
            hint = "; name it as package.module:NAME"
        raise OwnModelError(f"{spec}: {type(error).__name__}: {line}{_where(error)}{hint}") from None


def _where(error: BaseException) -> str:
    """The last line of the user's own that ``error`` came through."""
    if isinstance(error, SyntaxError) and error.filename:
        return f", in {error.filename}, line {error.lineno}: {(error.text or '').strip()[:100]}"
    linecache.checkcache()
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(FOREIGN)]
    frames = [f for f in frames if "site-packages" not in f.filename] or frames
    if not frames:
        return ""
    last = frames[-1]
    inside = "" if last.name == "<module>" else f", in {last.name}"
    return f", in {last.filename}, line {last.lineno}{inside}: {(last.line or '')[:100]}"


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Modules that lie in ``folder`` are found, as where Python runs a file of it."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _models(found: Any) -> list[str]:
    """Names in a module that may be meant: what it defines itself and is called, or is a module."""
    home = getattr(found, "__name__", "")
    names = [key for key, value in vars(found).items() if not key.startswith("_") and (
        isinstance(value, nn.Module) or callable(value) and getattr(value, "__module__", "") == home)]  # fmt: skip
    return names or [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]


def _outline(path: Path) -> list[str]:
    """The functions and classes of a file, which is not executed for that."""
    import ast

    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in found if not name.startswith("_")]


def _named(known: list[str]) -> str:
    more = ", ..." if len(known) > LISTED else ""
    return f"; it has {', '.join(known[:LISTED])}{more}" if known else ""


def _modules() -> list[str]:
    return [path.stem for path in Path.cwd().glob("*.py")]
