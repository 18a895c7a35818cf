"""Run all of Market Pulse on this machine, without containers: `python -m deploy.local.run [--demo]`.

`make up` and `make demo` call this. All parts run until Ctrl-C or SIGTERM. A part that dies is started again.
"""

import argparse
import asyncio
import fcntl
import os
import signal
import sys
import urllib.error
import urllib.request

from dotenv import dotenv_values

from market_pulse.process.settings import EXIT_BAD_CONFIGURATION

from .parts import CannotRunError, Plan, plan
from .supervision import RefusedError, kept

LOOK_S = 0.1
PATIENCE_S = 60.0


def main() -> int:
    """Run the parts until Ctrl-C or SIGTERM; return the exit status, 78 if the configuration is wrong."""
    arguments = argparse.ArgumentParser(description="Run Market Pulse on this machine.")
    arguments.add_argument("--demo", action="store_true", help="on simulated exchanges: no internet needed")
    demo = arguments.parse_args().demo
    try:
        planned = plan(_environment(), demo=demo)
    except CannotRunError as reason:
        print(f"configuration: {reason}", file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    _append_to_output()
    status = 0
    try:
        asyncio.run(run(planned, demo=demo))
    except* RefusedError:
        status = EXIT_BAD_CONFIGURATION
    return status


async def run(planned: Plan, *, demo: bool) -> None:
    """Run the parts until a signal stops them.

    Raises:
        ExceptionGroup: of RefusedError, if a part refuses its configuration.
    """
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # under nohup, go on
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = [part for part in planned.parts if part.name == "redis"]
    others = [part for part in planned.parts if part.name != "redis"]
    # The server stops last, because the other parts publish their last messages through it.
    async with kept(server, planned.environment), kept(others, planned.environment), asyncio.TaskGroup() as tasks:
        greeting = tasks.create_task(_greet(planned, demo=demo))
        await stop.wait()
        greeting.cancel()


async def _greet(planned: Plan, *, demo: bool) -> None:
    """Print the addresses once the page answers. If it does not answer for PATIENCE_S, say so and go on waiting."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _until_ready(planned.page_port)
    except TimeoutError:
        print(f"not ready after {PATIENCE_S:.0f} s; still trying. The log above says why.", file=sys.stderr)
        await _until_ready(planned.page_port)
    print(_greeting(planned, demo=demo), flush=True)


async def _until_ready(port: int) -> None:
    while not await asyncio.to_thread(_is_ready, port):
        await asyncio.sleep(LOOK_S)


def _environment() -> dict[str, str]:
    """Return the environment, with the variables of .env that it does not set, and with readable logs on a terminal."""
    try:
        added = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except (OSError, UnicodeDecodeError) as failed:
        raise CannotRunError(f".env cannot be read: {getattr(failed, 'strerror', None) or 'it is not UTF-8 text'}") from failed
    log_format = {"LOG_FORMAT": "console"} if sys.stdout.isatty() else {}
    return {**log_format, **added, **os.environ}


def _append_to_output() -> None:
    """Let all processes append to our output: if it is a file, they would otherwise overwrite each other's lines."""
    for output in (sys.stdout, sys.stderr):
        flags = fcntl.fcntl(output, fcntl.F_GETFL)
        fcntl.fcntl(output, fcntl.F_SETFL, flags | os.O_APPEND)


def _is_ready(port: int) -> bool:
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy: the page is on this machine
    try:
        with straight.open(f"http://127.0.0.1:{port}/readyz", timeout=1):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _greeting(planned: Plan, *, demo: bool) -> str:
    page = f"http://localhost:{planned.page_port}"
    exchanges = "SIMULATED exchanges: all prices are made up" if demo else "live exchanges (none reachable? try make demo)"
    server = f"-p {planned.redis_port}" if planned.redis_port else '-u "$REDIS_URL"'
    return f"""
Market Pulse runs on {exchanges}. Ctrl-C stops it.

  page    {page}
  stream  curl -N {page}/api/realtime/BTC
  bus     redis-cli {server} SUBSCRIBE ticker:BTC-USDT
"""


if __name__ == "__main__":
    sys.exit(main())
