"""Run a part as users do, and make it break in every way once its logging is set up: `breaking.py MODULE [ARGUMENT...]`.

Each way has one secret in a local variable and another in the text of the exception. The last exception is not caught.
"""

import asyncio
import contextlib
import gc
import logging
import os
import runpy
import sys
import threading
from functools import partial
from typing import Any

from market_pulse.process import logs

SECRETS = [text for name, text in os.environ.items() if name.startswith("TEST_SECRET")]


def fail(way: str) -> None:
    """Raise an exception with the secrets in its text and in local variables."""
    marker = "-".join(("seen", "in", "a", "frame"))  # joined here, so that no source line contains it
    in_scope = {
        "headers": [(b"x-api-key", secret.encode()) for secret in SECRETS],
        "secrets": list(SECRETS),
        "long": len(marker),
    }
    raise ValueError(f"broke: {way}: redis://user:{SECRETS[0]}@bus:6379/0, {in_scope}")


class BreaksWhenCollected:
    def __del__(self) -> None:
        fail("collected")


def caught(way: str, log: Any) -> None:
    try:
        try:
            fail(way)
        except ValueError as cause:
            raise ExceptionGroup(f"several, {SECRETS}", [cause, KeyError(SECRETS[-1])]) from cause
    except ExceptionGroup as error:
        error.add_note(f"note: {SECRETS}")
        log()


async def left_alone() -> None:
    """Leave a task's exception to the event loop, and raise in a callback that has secrets as arguments."""
    task = asyncio.create_task(asyncio.to_thread(fail, "task"))
    await asyncio.wait({task})
    del task
    gc.collect()
    asyncio.get_running_loop().call_soon(fail, f"callback {SECRETS}")
    await asyncio.sleep(0.05)


def break_in_every_way() -> None:
    caught("structlog", lambda: logs.get_logger().exception("it broke", given=SECRETS, facts={"key": SECRETS}))
    for name in ("uvicorn.error", "asyncio", "websockets.client", "aiohttp.server", "httpx", "somebody.else"):
        caught(name, partial(logging.getLogger(name).exception, "%s broke, %s", name, SECRETS))
    asyncio.run(left_alone(), debug=True)
    thread = threading.Thread(target=fail, args=("thread",))
    thread.start()
    thread.join()
    BreaksWhenCollected()
    gc.collect()
    logging.getLogger("uvicorn.error").error("not as many as there are: %s %s", *SECRETS[:1])
    fail("uncaught")


def configure_then_break(*arguments: Any, **options: Any) -> None:
    configure(*arguments, **options)
    if arguments[0] == "market-pulse":  # standard output is the command's own
        for handler in logging.getLogger().handlers:
            with contextlib.suppress(AttributeError):
                handler.setStream(sys.stderr)  # type: ignore[attr-defined]
    break_in_every_way()


if __name__ == "__main__":
    configure = logs.configure_logs
    logs.configure_logs = configure_then_break
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
