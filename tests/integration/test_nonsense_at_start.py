"""Real processes with nonsense in their environment: refused with exit code 78 and one line, or without any effect."""

import asyncio
import base64
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from support.parts import ROOT
from support.waiting import free_port, until

PARTS = ["ingest_okx", "aggregator", "gateway", "simulator"]  # all ingests share one main
START_LIMIT_S = 90.0
FOREIGN = {
    "WEB_CONCURRENCY": "many",
    "FORWARDED_ALLOW_IPS": "nobody at all",
    "PROMETHEUS_MULTIPROC_DIR": "/no/such/folder",
    "WEBSOCKETS_MAX_LINE_LENGTH": "long",
    "WEBSOCKETS_MAX_NUM_HEADERS": "",
    "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    "TERMINAL_WIDTH": "wide",
    "TYPER_USE_RICH": "perhaps",
}


@contextlib.asynccontextmanager
async def started(
    *command: str, folder: Path = ROOT, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    known = {name: text for name, text in os.environ.items() if "PROXY" not in name.upper() and not name.startswith("SSL")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, cwd=folder, env=known | {"REDIS_URL": "redis://127.0.0.1:1"} | {**environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def end_of(process: asyncio.subprocess.Process) -> list[str]:
    async with asyncio.timeout(START_LIMIT_S):
        output, _ = await process.communicate()
    return output.decode().splitlines()


REFUSED = [
    ("gateway", "SLOW_CLIENT_S", "inf"),
    ("gateway", "REDIS_URL", "redis://127.0.0.1:1/0?decode_responses=true"),
    ("gateway", "REDIS_URL", "rediss://127.0.0.1:1/0?ssl_ca_certs=/no/such/file"),
    ("gateway", "HOST", "not.a.name.of.this.machine.invalid"),
    ("gateway", "HOST", "192.0.2.1"),
    ("aggregator", "HEALTH_HOST", "192.0.2.1"),
    ("simulator", "HOST", "2001:db8::1"),
    ("ingest_okx", "ALL_PROXY", "socks5://127.0.0.1:1"),
    ("ingest_okx", "https_proxy", "socks5h://user:pa55word@127.0.0.1:1"),
    ("ingest_binance", "SSL_CERT_FILE", "/no/such/file"),
    ("ingest_binance", "SSLKEYLOGFILE", "/no/such/folder/file"),
]


@pytest.mark.parametrize(("part", "variable", "text"), REFUSED)
async def test_nonsense_is_refused_by_name(part: str, variable: str, text: str) -> None:
    async with started(part, environment={"PORT": "0", "HEALTH_PORT": "0", variable: text}) as process:
        [line] = await end_of(process)
    assert line.startswith(f"configuration: {variable.upper()}: ")
    assert process.returncode == 78
    assert "pa55word" not in line


@pytest.mark.parametrize("part", PARTS)
async def test_a_port_in_use_is_named(part: str) -> None:
    """The process may be restarted later: the part's own predecessor may still hold the port."""
    variable = "PORT" if part in {"gateway", "simulator"} else "HEALTH_PORT"
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        async with started(part, environment={variable: str(port)}) as process:
            assert await end_of(process) == [f"configuration: {variable}: port {port} is in use"]
    assert process.returncode == 1


@pytest.mark.parametrize("part", PARTS)
async def test_what_only_libraries_would_read_changes_nothing(part: str) -> None:
    port = free_port()
    path = "/control" if part == "simulator" else "/livez"
    environment = FOREIGN | {"PORT": str(port), "HEALTH_PORT": str(port), "DRAIN_S": "0"}
    async with started(part, environment=environment) as process:
        await until(lambda: process.returncode is not None or answers(port, path), START_LIMIT_S)
        assert process.returncode is None, await end_of(process)
        process.send_signal(signal.SIGTERM)
        output = "\n".join(await end_of(process))
    assert "Traceback" not in output
    assert process.returncode == 0, output


async def test_an_ingest_that_exchanges_does_not_name_is_alive_and_does_nothing() -> None:
    """There is no Redis at its address, and it asks for none. Were it to end, an engine would start it again and again."""
    port = free_port()
    unwanted = {"EXCHANGES": "binance,bybit", "HEALTH_PORT": str(port), "REDIS_URL": "redis://127.0.0.1:1"}
    async with started("ingest_okx", environment=unwanted) as process:
        await until(lambda: answers(port, "/readyz"), START_LIMIT_S)
        process.send_signal(signal.SIGTERM)
        [line] = await end_of(process)
    assert "EXCHANGES does not name it" in line
    assert process.returncode == 0


async def answers(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readline()
    writer.close()
    return b" 200 " in head


async def test_a_proxy_is_used_and_its_password_told_to_nobody() -> None:
    asked: set[tuple[bytes, bytes]] = set()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, where, *_ = (head := await reader.readuntil(b"\r\n\r\n")).split()
        if b"Proxy-Authorization: Basic " + base64.b64encode(b"user:pa55/word") in head:
            asked.add((method, where))
        writer.write(b"HTTP/1.1 407 no\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxy = f"http://user:pa55%2Fword@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with started("ingest_okx", environment={"HTTPS_PROXY": proxy, "HEALTH_PORT": "0"}) as process:
            await until(lambda: {(b"CONNECT", b"www.okx.com:443"), (b"CONNECT", b"ws.okx.com:8443")} <= asked, START_LIMIT_S)
            process.send_signal(signal.SIGTERM)
            said = "\n".join(await end_of(process))
    assert "407" in said
    assert "Traceback" not in said
    assert "pa55" not in said


COMMANDS = [
    ({"MARKET_PULSE_URL": "localhost:8080"}, "status", 2, "MARKET_PULSE_URL"),
    ({"MARKET_PULSE_API_KEY": "ключ"}, "status", 78, "MARKET_PULSE_API_KEY"),
    ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "status", 78, "ALL_PROXY"),
    ({"REDIS_URL": "redis://h?protocol=3"}, "tail ticks:*", 78, "REDIS_URL"),
    ({}, "verify --seconds nan", 2, "--seconds"),
    ({"MARKET_PULSE_URL": "http://user:pa55word@127.0.0.1:1"}, "status", 1, "127.0.0.1"),
    ({"REDIS_URL": "redis://user:pa55word@127.0.0.1:1"}, "verify", 1, "market-pulse: "),
    (FOREIGN | {"MARKET_PULSE_URL": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:2"}, "status", 1, "127.0.0.1:1"),
]


@pytest.mark.parametrize(("environment", "command", "code", "said"), COMMANDS)
async def test_the_command_line(environment: dict[str, str], command: str, code: int, said: str) -> None:
    async with started("cli", *command.split(), environment=environment) as process:
        output = "\n".join(await end_of(process))
    assert process.returncode == code, output
    assert said in output
    assert "Traceback" not in output
    assert "pa55word" not in output


async def test_the_command_line_is_called_by_its_name() -> None:
    async with started("cli", "status", "--nonsense", environment={}) as process:
        assert "Usage: market-pulse status" in "\n".join(await end_of(process))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PORT": "²"}, "PORT: '²' is not a port"),
        ({"REDIS_PORT": "inf", "REDIS_URL": ""}, "REDIS_PORT: 'inf' is not a port"),
    ],
)
async def test_make_up(environment: dict[str, str], said: str) -> None:
    async with started("deploy.local.run", "--demo", environment=environment) as process:
        [line] = await end_of(process)
    assert line.startswith(f"configuration: {said}")
    assert process.returncode == 78


async def test_an_env_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe")
    async with started("deploy.local.run", "--demo", folder=tmp_path, environment={"PYTHONPATH": str(ROOT)}) as process:
        assert await end_of(process) == ["configuration: .env cannot be read: it is not UTF-8 text"]
    assert process.returncode == 78


async def test_a_setting_of_the_gateway_s_is_the_gateway_s_to_refuse() -> None:
    """The runner passes it on unchanged, with any characters."""
    text = '1",PORT=2\n%(ENV_HOME)s'
    async with started("deploy.local.run", "--demo", environment={"DRAIN_S": text, "REDIS_URL": "", "PORT": ""}) as process:
        lines = await end_of(process)
    assert next(line for line in lines if line.startswith("configuration: ")).startswith("configuration: DRAIN_S: ")
    assert process.returncode == 78
