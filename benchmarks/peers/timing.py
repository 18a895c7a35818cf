"""What a program takes for each frame, kind by kind: the same loop for all that are compared. Standard library alone."""

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
    """Print the time per frame of each kind (None: of all) as JSON, in microseconds: the median of all of them.

    A median, since whatever else the machine does meets few frames; each once, in order, since a frame that comes again is no
    news. Frames come as the program's own WebSocket client hands them on, as text or bytes.
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
