"""Which packages there are: every folder with an ``__init__.py`` in those that ``[tool.setuptools.package-dir]`` of
pyproject.toml names. A new folder needs no line anywhere; all other settings are in pyproject.toml."""

import tomllib
from pathlib import Path

from setuptools import find_packages, setup

settings = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8"))
packages = []
for package, folder in settings["tool"]["setuptools"]["package-dir"].items():
    packages += [package, *(f"{package}.{name}" for name in find_packages(folder))]
setup(packages=packages)
