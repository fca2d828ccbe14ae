"""Which packages there are: every folder with a module in those that ``[tool.setuptools.package-dir]`` of
pyproject.toml names. A new folder needs no line anywhere, and no ``__init__.py``; all other settings are in
pyproject.toml."""

import tomllib
from pathlib import Path

from setuptools import find_namespace_packages, setup

settings = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8"))
packages = []
for package, folder in settings["tool"]["setuptools"]["package-dir"].items():
    inside = [name for name in find_namespace_packages(folder) if any(Path(folder, *name.split(".")).glob("*.py"))]
    packages += [package, *(f"{package}.{name}" for name in inside)]
setup(packages=packages)
