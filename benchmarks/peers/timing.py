"""Measures a program's time per frame, for each kind of frame, with one loop for all programs. Standard library only."""

import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from statistics import median
from typing import TypeVar

Text = TypeVar("Text", str, bytes)


async def time_frames(
    file: str, as_type: type[Text], handle: Callable[[Text], Awaitable[object]], kinds: Collection[str] | None = None
) -> None:
    """Print, as JSON, the median time per frame in microseconds for each kind of frame (None: for all together).

    It is the median because other work of the machine disturbs only few frames. Each frame is used once and in order, because
    a repeated frame brings no new state. Frames have the type that the program's own WebSocket client yields, text or bytes.
    """
    clock = time.perf_counter_ns
    took_ns: dict[str, list[int]] = defaultdict(list)
    for line in Path(file).read_bytes().splitlines():  # noqa: ASYNC240 - nothing else runs yet
        name, _, payload = line.partition(b"\t")
        kind = name.decode()
        if kinds is None or kind in kinds:
            frame = payload if as_type is bytes else payload.decode()
            began_ns = clock()
            await handle(frame)  # type: ignore[arg-type]
            took_ns[kind].append(clock() - began_ns)
    print(json.dumps({kind: median(figures) / 1000 for kind, figures in took_ns.items()}))
