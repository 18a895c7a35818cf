"""Structured logs: one JSON object a line, or readable lines on a terminal."""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog

LogFormat = Literal["json", "console", "auto"]

REPEAT_INTERVAL_S = 30.0
REPEATS = 5


@dataclass(slots=True)
class _Repeats:
    since_s: float
    lines: int = 1
    held_back: int = 0


class RepeatLimit:
    """Lets through REPEATS lines with one message in an interval, then one in each, which says how many were held back.

    What goes wrong each second, or as often as clients like, would else fill a disk and hide the rest. A message is a constant
    text, so there are few to remember. Errors pass always, and so does what is only said at LOG_LEVEL=debug.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, _Repeats] = {}

    def __call__(self, logger: Any, level: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:  # noqa: ARG002 - structlog's signature
        """Return the line, or drop it."""
        if level not in {"info", "warning"}:
            return line
        message, now_s = str(line["event"]), self._clock()
        said = self._said.get(message)
        if said is None or now_s - said.since_s >= REPEAT_INTERVAL_S:
            if said is None or not said.held_back:
                self._said[message] = _Repeats(now_s)
                return line
            self._said[message] = _Repeats(now_s, REPEATS)
            return {**line, "held_back": said.held_back}
        if said.lines < REPEATS:
            said.lines += 1
            return line
        said.held_back += 1
        raise structlog.DropEvent


def configure_logs(service: str, level: str, log_format: LogFormat) -> None:
    """Send this process's logs, structlog's and the standard library's alike, to standard output.

    Args:
        service: the name that each line carries.
        level: debug, info, warning or error.
        log_format: `auto` is readable lines on a terminal and JSON lines elsewhere.
    """
    console = log_format == "console" or (log_format == "auto" and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.stdlib.ExtraAdder(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            RepeatLimit(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), timestamp_key="ts")]
        if console
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "websockets", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


def get_logger() -> structlog.stdlib.BoundLogger:
    """Return a logger: `log.info("feed connected", exchange="okx")`, a constant message and the facts as fields.

    It is the standard library's `market_pulse` also before `configure_logs`: in a program of somebody else's, that program's
    own rules hold for it, and standard output stays that program's.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("market_pulse"), wrapper_class=structlog.stdlib.BoundLogger
    )
    return logger
