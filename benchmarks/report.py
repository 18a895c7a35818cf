"""The output that all benchmarks share: the machine, versions, tables, and ratios between figures of the same run."""

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
    """Describe the machine and its load at this moment."""
    models = [line.partition(":")[2].strip() for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    processor = f"{os.cpu_count()} x {models[0] if models else platform.machine()}"
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{processor}, {system}, load {os.getloadavg()[0]:.1f}"


def packages(*names: str) -> str:
    """Name the installed versions of Python packages."""
    return ", ".join(f"{name} {_version(name)}" for name in names)


def program(*command: str) -> str | None:
    """Return the first line that a version command prints, or None if the program is not installed."""
    if shutil.which(command[0]) is None:
        return None
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return (answer.stdout + answer.stderr).strip().partition("\n")[0]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table in Markdown. Numbers have three significant digits; None is a dash."""
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(map(cell, row))} |", flush=True)


def cell(value: Cell) -> str:
    """Format a table cell. From 100 up a number is written in whole units."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(figures: Sequence[float | None], others: Sequence[float | None]) -> float | None:
    """Return the median over all rounds of the ratio between two series, or None if no round has both figures.

    A round that lacks the figure of one series is skipped, and so are the rounds beyond the end of the shorter series.
    """
    ratios = [figure / other for figure, other in zip(figures, others, strict=False) if figure is not None and other]
    return median(ratios) if ratios else None


def spread(figures: Sequence[float]) -> str:
    """Format a series as its median with its lowest and highest figure."""
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
