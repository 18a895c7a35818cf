"""Assigns the cores. The measured server has a core for itself, so that its load does not take processor time from it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Cores:
    """The first core is the measured server's, the second the load's. Buses and publishers get the other cores, if any."""

    def __init__(self) -> None:
        available = sorted(os.sched_getaffinity(0))
        self.server = {available[0]}
        self.load = {available[min(1, len(available) - 1)]}
        self.bus = set(available[2:]) or self.load
        self.shared = len(available) < 2

    def __str__(self) -> str:
        what = f"server on core {self.server}, load on {self.load}, bus and publisher on {self.bus}"
        return what + ("; ONE CORE FOR ALL: the figures are meaningless" if self.shared else "")


@contextmanager
def pinned_to(cores: set[int]) -> Iterator[None]:
    """Run this process on `cores` for the time of the context. Processes started meanwhile stay on them for good."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def family(pid: int) -> list[int]:
    """Return the ids of a process and of all its descendants."""
    found = [pid]
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            found += map(int, _read(children).split())
    return found


def cpu_s(pids: list[int]) -> float:
    """Return the total processor time of some processes so far, in seconds, to the microsecond."""
    total_ns = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total_ns += int((_read(task) or "0").split()[0])
    return total_ns / 1e9


def resident_kb(pids: list[int]) -> float:
    """Return the total resident memory of some processes, in KiB."""
    return sum(int((_read(Path(f"/proc/{pid}/statm")) or "0 0").split()[1]) for pid in pids) * os.sysconf("SC_PAGE_SIZE") / 1024


def descriptors(pids: list[int]) -> int:
    """Return how many file descriptors some processes have open in total."""
    return sum(1 for pid in pids for _ in Path(f"/proc/{pid}/fd").glob("*"))


def kernel_kb(port: int) -> float | None:
    """Return the kernel memory, in KiB, of the sockets that a server has accepted on a port. Without `ss` it is None.

    Unread data at the client's end of a connection is not included, even if the client is on the same machine.
    """
    if not (ss := shutil.which("ss")):
        return None
    listed = subprocess.run([ss, "-tmnH", f"( sport = :{port} )"], capture_output=True, text=True, check=True).stdout
    waiting = (re.findall(r"skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+)", listed)) or [("0", "0", "0")]
    return sum(int(figure) for figures in waiting for figure in figures) / 1024


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process or the thread has just ended
        return ""
