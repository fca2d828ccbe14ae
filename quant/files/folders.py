"""Where data sets and trained weights lie that are no part of a project: one folder, named by one environment variable.

Recipes and commands name a data set (``mnist``) or a file of weights (``weights/resnet20.th``), never a place on one
machine, so that they can be committed and followed elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FOLDERS", "VARIABLE", "data_file", "data_folder", "portable"]

VARIABLE = "SPIKELOOM_DATA"
"""The environment variable that names the folder."""

FOLDERS = {
    "mnist": ("mnist",),
    "fashion": ("fashion",),
    "cifar10": ("cifar10", "cifar-10-batches-bin"),  # the second is what the archive unpacks to
}
"""Where a data set may lie in that folder, the first one that is there."""


def data_folder(kind: str) -> Path | None:
    """The folder of the data set ``kind`` in :data:`VARIABLE`, or None where the variable is not set.

    Where no such folder is there, the first place it may have, so that an error can name it.
    """
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    places = [Path(root) / name for name in FOLDERS[kind]]
    return next((place for place in places if place.is_dir()), places[0])


def data_file(name: str | Path) -> Path:
    """The file ``name``: from the working folder, or, where it is not there, from :data:`VARIABLE`."""
    path, root = Path(name), os.environ.get(VARIABLE)
    return Path(root) / path if root and not path.is_absolute() and not path.exists() else path


def portable(name: str) -> str:
    """``name`` as it may be kept in a file that others read: without a place outside the working folder.

    Of such a place the last part stays.
    """
    path = Path(name)
    return path.name if path.is_absolute() or ".." in path.parts else name
