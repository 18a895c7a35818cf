"""Structured logs, without secrets: one JSON object per line, or readable lines on a terminal."""

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import structlog

LogFormat = Literal["json", "console", "auto"]

REPEAT_INTERVAL_S = 30.0
REPEATS = 5

HIDDEN = "***"
SHORTEST_SECRET = 6
"""A shorter secret is hidden only where a URL shows that it is one. Elsewhere the same text may be an ordinary word."""
MAY_STAND_IN_URLS = "!$&'()*+,;=:"
_IN_URL = re.compile(r"://[^\s'\"<>]*@")
_IN_QUERY = re.compile(r"(?i)([?&](?:[a-z_]*(?:key|token|secret|password|passwd|signature))=)[^&\s'\"#]+")
_hidden: set[str] = set()


@dataclass(slots=True)
class _Repeats:
    since_s: float
    lines: int = 1
    held_back: int = 0


class RepeatLimit:
    """Limits how often the same message is logged.

    In the first REPEAT_INTERVAL_S, REPEATS lines with a message pass. In each interval after that one line passes, with the
    number of lines dropped before it (`held_back`). Without this limit, a failure that repeats each second, or as often as
    clients cause it, would fill a disk and hide all other lines. A message is a constant text, so there are few to remember.
    Lines at error and debug level always pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[str, _Repeats] = {}

    def __call__(self, logger: Any, level: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:  # noqa: ARG002 - structlog's signature
        """Return the line if it passes the limit. Otherwise raise structlog's DropEvent, which drops it."""
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


def hide(*secrets: str) -> None:
    """Keep these texts out of all later log lines of this process, also when escaped as in URLs, `bytes` or quoted strings."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            urls = (quote(secret, safe=safe) for safe in ("", "/", MAY_STAND_IN_URLS))
            spellings = (secret, *urls, repr(secret)[1:-1], repr(secret.encode())[2:-1])
            _hidden.update(spellings)
            _hidden.update(spelling.replace("'", "\\'") for spelling in spellings)


def scrub(text: str) -> str:
    """Return a text without the secrets passed to `hide`, and without user, password and keys in any URL."""
    for secret in sorted(_hidden, key=len, reverse=True):  # the longest first: a secret may be part of another
        text = text.replace(secret, HIDDEN)
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_URL.sub(f"://{HIDDEN}@", text))


def _without_secrets(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {name: _without_secrets(content) for name, content in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_without_secrets(content) for content in value]
    return scrub(value if isinstance(value, str) else repr(value))


def _scrub_line(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: value if name in {"ts", "level", "service"} else _without_secrets(value) for name, value in line.items()}


def log_uncaught() -> None:
    """From now on, log exceptions that no code catches. The log removes secrets; Python itself would print them."""

    def at_the_end(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, traceback)
            return
        logging.getLogger("market_pulse").error("ended by an error", exc_info=(kind, error, traceback))

    def in_a_thread(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is not None and not issubclass(failed.exc_type, SystemExit):
            facts = (failed.exc_type, failed.exc_value, failed.exc_traceback)
            logging.getLogger("market_pulse").error("a thread was ended by an error", exc_info=facts)

    def of_nobody(failed: "sys.UnraisableHookArgs") -> None:
        if failed.exc_value is not None:
            facts = (failed.exc_type, failed.exc_value, failed.exc_traceback)
            logging.getLogger("market_pulse").error("an error that nobody can catch", exc_info=facts)

    sys.excepthook, threading.excepthook, sys.unraisablehook = at_the_end, in_a_thread, of_nobody


def configure_logs(service: str, level: str, log_format: LogFormat, *, uncaught: bool = True) -> None:
    """Write this process's logs, from structlog and from the standard library, to standard output.

    Tracebacks name files, lines and functions, but never show variables: a variable may hold a key or a password.

    Args:
        service: the name in each line's `service` field.
        level: debug, info, warning or error.
        log_format: `auto` means readable lines on a terminal and JSON lines elsewhere.
        uncaught: whether to log exceptions that no code catches, too.
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
    # By default, tracebacks would show the variables of each frame: structlog's in JSON, and rich's on a terminal.
    tracebacks: structlog.typing.Processor
    renderer: structlog.typing.Processor
    if console:
        tracebacks = structlog.processors.format_exc_info
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(), timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
        )
    else:
        as_facts = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        tracebacks, renderer = structlog.processors.ExceptionRenderer(as_facts), structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, tracebacks, _scrub_line, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.raiseExceptions = False  # else logging prints the arguments of a line that it cannot write, secrets included
    if uncaught:
        log_uncaught()
    for chatty in ("httpx", "httpcore", "websockets", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


def get_logger() -> structlog.stdlib.BoundLogger:
    """Return a logger. Pass it a constant message and the facts as fields: `log.info("feed connected", exchange="okx")`.

    Its lines go to the standard library's logger `market_pulse`, also before `configure_logs` is called. So in another program
    that imports this library, that program's logging configuration applies, and nothing is written to its standard output.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("market_pulse"), wrapper_class=structlog.stdlib.BoundLogger
    )
    return logger
