"""Run all of Market Pulse on this machine, without containers: `python -m deploy.local.run [--demo]`.

`make up` and `make demo` end here. All parts run until Ctrl-C or SIGTERM; one that dies is started again.
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from dotenv import dotenv_values

from .parts import CannotRunError, Plan, plan
from .supervision import EXIT_BAD_CONFIGURATION, STOP_WITHIN_S, Supervision

LOOK_S = 0.1
PATIENCE_S = 60.0


def main() -> int:
    """Run until told to stop; return the exit status."""
    arguments = argparse.ArgumentParser(description="Run Market Pulse on this machine.")
    arguments.add_argument("--demo", action="store_true", help="on simulated exchanges: no internet needed")
    demo = arguments.parse_args().demo
    try:
        planned = plan(_environment(), demo=demo)
    except CannotRunError as reason:
        print(f"configuration: {reason}", file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    _append_to_output()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means it
        signal.signal(signal.SIGHUP, lambda *_: stop.set())
    with tempfile.TemporaryDirectory(prefix="market-pulse-") as folder:
        return run(planned, Supervision(planned.parts, Path(folder)), stop, demo=demo)


def run(planned: Plan, supervision: Supervision, stop: threading.Event, *, demo: bool) -> int:
    """Run the parts until `stop` is set; return the exit status."""
    # A session of its own: Ctrl-C reaches this process only, and the parts stop in order rather than all at once.
    with subprocess.Popen(supervision.command, env=planned.environment, start_new_session=True) as supervisord:
        try:
            return _watch(planned, supervision, supervisord, stop, demo=demo)
        finally:
            supervisord.terminate()
            try:
                supervisord.wait(3 * STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                supervisord.kill()


def _watch(
    planned: Plan, supervision: Supervision, supervisord: subprocess.Popen[bytes], stop: threading.Event, *, demo: bool
) -> int:
    """Greet once the page answers, then wait for the end."""
    started_s, greeted, warned = time.monotonic(), False, False
    while not stop.wait(LOOK_S if not greeted else 1.0):
        if supervisord.poll() is not None:
            print("the process supervisor ended by itself", file=sys.stderr)
            return 1
        if greeted:
            continue
        if refused := supervision.refused():
            print(f"{refused} refused its configuration: see above", file=sys.stderr)
            return EXIT_BAD_CONFIGURATION
        if greeted := _is_ready(planned.page_port):
            print(_greeting(planned, demo=demo), flush=True)
        elif not warned and time.monotonic() - started_s > PATIENCE_S:
            warned = True
            print(f"not ready after {PATIENCE_S:.0f} s; still trying. The log above says why.", file=sys.stderr)
    return 0


def _environment() -> dict[str, str]:
    """Return the environment with what .env adds to it, and readable logs on a terminal."""
    try:
        added = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except (OSError, UnicodeDecodeError) as failed:
        raise CannotRunError(f".env cannot be read: {getattr(failed, 'strerror', None) or 'no text in UTF-8'}") from failed
    log_format = {"LOG_FORMAT": "console"} if sys.stdout.isatty() else {}
    return {**log_format, **added, **os.environ}


def _append_to_output() -> None:
    """Have everybody who writes to our output append: where it is a file, they would overwrite each other."""
    for output in (sys.stdout, sys.stderr):
        flags = fcntl.fcntl(output, fcntl.F_GETFL)
        fcntl.fcntl(output, fcntl.F_SETFL, flags | os.O_APPEND)


def _is_ready(port: int) -> bool:
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy in the environment is for elsewhere
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
