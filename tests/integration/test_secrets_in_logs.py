"""No log line of any part, in either format, and no traceback contains a password or a key, whatever breaks."""

import asyncio
import json
import os
import sys

import pytest

from support.parts import INGESTS, ROOT
from support.waiting import free_port

KEY, BUS, PROXY, FEED, TOKEN = "key-0123456789abcdef", "bus-Pa55/w\"'ord", "proxy-pa55word", "feed-pa55word", "token-0123456789"
SECRETS = (KEY, BUS, PROXY, FEED, TOKEN)
ENVIRONMENT = {
    "API_KEYS": KEY,
    "MARKET_PULSE_API_KEY": KEY,
    "REDIS_URL": "redis://user:bus-Pa55%2Fw%22%27ord@127.0.0.1:1/0",
    "HTTPS_PROXY": f"http://user:{PROXY}@127.0.0.1:1",
    "WS_URL": f"ws://user:{FEED}@127.0.0.1:1/ws?token={TOKEN}",
    "MARKET_PULSE_URL": f"http://user:{FEED}@127.0.0.1:1",
    "HEALTH_PORT": "0",
    "PORT": "0",
    **{f"TEST_SECRET_{number}": secret for number, secret in enumerate(SECRETS)},
}
PARTS = {
    **{ingest.replace("-", "_"): () for ingest in INGESTS},
    "aggregator": (),
    "gateway": (),
    "simulator": (),
    "cli": ("status",),
}
WAYS = ["structlog", "uvicorn.error", "asyncio", "websockets.client", "aiohttp.server", "httpx", "somebody.else",
        "task", "callback", "thread", "collected", "uncaught"]  # fmt: skip
# The secrets in each part's settings. The others are only in the tests' exceptions.
TOLD = {"aggregator": {BUS}, "gateway": {BUS, KEY}, "simulator": set(), "cli": {KEY, FEED}}


async def run(*command: str, environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env=os.environ | environment, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 1, output.decode()
    return output.decode()


@pytest.mark.parametrize(
    ("part", "form"),
    [
        (part, form)
        for part in PARTS
        for form in ("json", "console")
        if form == "json" or part not in {"ingest_binance", "ingest_bybit"}
    ],
)
async def test_what_breaks_is_told_without_secrets(part: str, form: str) -> None:
    told = TOLD.get(part, {BUS, PROXY, FEED, TOKEN})
    secrets = sorted(told) or [KEY]
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("TEST_SECRET")} | {
        f"TEST_SECRET_{number}": secret for number, secret in enumerate(secrets)
    }
    breaking = str(ROOT / "tests/support/breaking.py")
    output = await run(breaking, part, *PARTS[part], environment=environment | {"LOG_FORMAT": form})
    for way in WAYS:
        assert f"broke: {way}" in output, way
    for secret in told:
        for spelling in {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.replace("/", "%2F")}:
            assert spelling not in output, [line for line in output.splitlines() if spelling in line][:3]
    assert "seen-in-a-frame" not in output
    if form == "json" and part != "cli":
        lines = [json.loads(line) for line in output.splitlines()]
        assert all("ts" in line and "event" in line for line in lines)
        assert "locals" not in output


async def test_a_key_is_not_logged_where_a_request_breaks() -> None:
    """The layer that compares keys breaks while it holds a client's key."""
    port = free_port()
    script = (
        "import hmac, runpy\n"
        "def compare_digest(given, known): raise OSError('broke')\n"
        "hmac.compare_digest = compare_digest\n"
        "runpy.run_module('gateway', run_name='__main__', alter_sys=True)"
    )
    for form in ("json", "console"):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=os.environ | {"API_KEYS": KEY, "PORT": str(port), "REDIS_URL": "redis://127.0.0.1:1/0", "LOG_FORMAT": form, "DRAIN_S": "0"},
        )  # fmt: skip
        try:
            for path, headers in ((f"/api/realtime/BTC?api_key={KEY}", ""), ("/api/realtime/BTC", f"X-API-Key: {KEY}\r\n")):
                assert b" 500 " in await answer_of(port, path, headers)
            process.terminate()
            async with asyncio.timeout(30):
                output = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert output.count("OSError") >= 2
        assert KEY not in output


async def answer_of(port: int, path: str, headers: str) -> bytes:
    """Wait until the port is open, send a request and return the head of its response."""
    async with asyncio.timeout(40):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{headers}\r\n".encode())
            head = await reader.readline()
            writer.close()
            return head
