"""What every benchmark prints: the machine, versions, tables, and ratios of figures that were taken in one run."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

Cell = str | float | int | None


def machine() -> str:
    """Describe the machine and how busy it was when asked."""
    models = [line.partition(":")[2].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    processor = f"{os.cpu_count()} x {models[0] if models else platform.machine()}"
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{processor}, {system}, load {os.getloadavg()[0]:.1f}"


def packages(*names: str) -> str:
    """Name the installed versions of Python packages."""
    return ", ".join(f"{name} {_version(name)}" for name in names)


def program(*command: str) -> str | None:
    """Return the first line that a program says of its version, or None where there is no such program."""
    if shutil.which(command[0]) is None:
        return None
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return (answer.stdout + answer.stderr).strip().partition("\n")[0]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table in Markdown. A number is shown with three significant digits, None as a dash."""
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(map(cell, row))} |", flush=True)


def cell(value: Cell) -> str:
    """Write a table's cell."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(figures: Sequence[float | None], others: Sequence[float | None]) -> float | None:
    """Return the median of the ratios of two series' figures, round by round; None where there is nothing to divide.

    A round in which either has no figure is passed over, and so are those that only one of them took part in.
    """
    ratios = [figure / other for figure, other in zip(figures, others, strict=False) if figure is not None and other]
    return median(ratios) if ratios else None


def spread(figures: Sequence[float]) -> str:
    """Write a series' median and how far its figures lie apart."""
    if min(figures) == max(figures):
        return cell(figures[0])
    return f"{cell(median(figures))} ({cell(min(figures))}-{cell(max(figures))})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
