"""Nonsense in each variable of .env.example, and in those that libraries read, works or is refused by name in one line."""

import contextlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner
from websockets.proxy import parse_proxy
from websockets.uri import parse_uri

from aggregator.settings import AggregatorSettings
from cli.app import app
from cli.gateway import Access
from gateway.api.app import build_app
from gateway.api.gateway import Gateway
from gateway.server.server import Server
from gateway.settings import GatewaySettings
from ingest_okx.adapter import ADAPTER
from market_pulse.bus import Reader
from market_pulse.bus.connection import connect
from market_pulse.exchange.feeds import ws_urls
from market_pulse.exchange.rest import RestClient
from market_pulse.exchange.settings import IngestSettings
from market_pulse.process.settings import EXIT_BAD_CONFIGURATION, BusSettings, Settings, load_settings
from market_pulse.process.tls import VARIABLES
from market_pulse.process.way_out import OutwardSettings, WayOut
from simulator.app import build_engine
from simulator.settings import Settings as SimulatorSettings
from support.nonsense import NONSENSE
from support.parts import INGESTS, ROOT, SETTINGS, variables

LIBRARIES = variables(OutwardSettings) - variables(Settings)
KINDS: dict[str, type[Settings]] = {
    **{name: kind for name, kind in SETTINGS.items() if name not in INGESTS[1:]},
    "command line": BusSettings,
    "key": Access,
    "way out": OutwardSettings,
}
# Variables that no part reads, but `make up` (tested below), make-users, Compose or the edge.
ELSEWHERE = {"BIND", "REDIS_PORT", "REDIS_READER_PASSWORD", "PROMETHEUS_PORT", "GRAFANA_PORT", "TLS_CERTIFICATE", "TLS_PORT",
             "EDGE_TRUSTED_PROXIES", "EDGE_MAX_CONNECTIONS_PER_IP", "EDGE_MAX_REQUESTS_PER_IP", "EDGE_MAX_REQUESTS_PER_S"}  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper() in LIBRARIES:
            monkeypatch.delenv(name)
    monkeypatch.setattr("market_pulse.process.logs._hidden", set())  # other tests may log 127.0.0.1
    monkeypatch.chdir(tmp_path)  # a file named by a value is written there


def documented() -> set[str]:
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


def test_no_variable_is_forgotten() -> None:
    tried = {name for kind in KINDS.values() for name in variables(kind)}
    assert documented() - tried == {name for name in documented() if name in ELSEWHERE or name.startswith("EDGE_")}
    assert {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSLKEYLOGFILE"} <= tried & documented()


@pytest.mark.parametrize(
    ("part", "variable"), [(part, variable) for part, kind in KINDS.items() for variable in sorted(variables(kind))]
)
async def test_it_works_or_is_refused(
    part: str, variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = 0
    for text in NONSENSE:
        monkeypatch.setenv(variable, text)
        settings = read(KINDS[part])
        if not isinstance(settings, Settings):
            assert settings == EXIT_BAD_CONFIGURATION, text
            lines = capsys.readouterr().err.splitlines()
            assert len(lines) == 1, (text, lines)
            assert lines[0].startswith(f"configuration: {variable}: "), (text, lines)
            assert len(lines[0]) < 400, text
            refused += 1
        else:
            assert capsys.readouterr().err == "", text
            await works(variable, settings)
    assert refused > 20 or variable in {"NO_PROXY", "SSLKEYLOGFILE", "SEED"}, refused


def read(kind: type[Settings]) -> object:
    """Return the settings, or the exit code with which the process would end."""
    try:
        return load_settings(kind)
    except SystemExit as ended:
        return ended.code


async def works(variable: str, settings: Settings) -> None:
    """Build the same objects from the settings as the part does."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, float):
            assert math.isfinite(value), name
            assert 0 <= value <= 1_000_000, name
            assert 1000 * value < 2**31, name  # as milliseconds it fits the kernel's type
    match settings:
        case GatewaySettings():
            async with Reader.open(settings.redis_url.get_secret_value()) as bus:
                gateway = Gateway(settings, bus)
            if variable in {"CORS_ORIGINS", "API_KEYS", "TRUSTED_PROXIES"}:  # building it takes a while
                Server(build_app(gateway), gateway)
            assert settings.heartbeat_s < 30
        case IngestSettings():
            [url, *_] = ws_urls(ADAPTER, settings.ws_url, ADAPTER)
            parse_uri(url)
            async with RestClient(ADAPTER, settings.rest_url or "https://h"):
                pass
        case SimulatorSettings() if variable in {"SEED", "RATE"}:
            build_engine(settings)
        case OutwardSettings():
            way_out = WayOut(settings)
            for url in ("https://exchange.example/x", "wss://exchange.example", "http://1.2.3.4:5", "ws://[::2]/"):
                if proxy := way_out.proxy(url):
                    parse_proxy(proxy)
                    httpx.Proxy(proxy)
            if variable in VARIABLES:
                assert way_out.websocket_options("wss://exchange.example")["ssl"].verify_mode
            assert way_out.proxy("ws://simulator:9000") is way_out.proxy("http://127.0.0.1:8080") is None
        case BusSettings():
            async with Reader.open(settings.redis_url.get_secret_value()):
                pass


@pytest.mark.parametrize(
    ("kind", "variable", "texts"),
    [
        (GatewaySettings, "SLOW_CLIENT_S", "inf 3000000 0 nan"),
        (GatewaySettings, "HEARTBEAT_S", "inf 120 60 30 0"),
        (GatewaySettings, "STREAM_MAX_AGE_S", "inf 0 1e9"),
        (GatewaySettings, "MAX_FLUSH_HZ", "0.001 inf"),
        (GatewaySettings, "CORS_ORIGINS", "example.org https://a.example/page https://*.example.org https:// https://a.example?x , a:b https://u@h"),
        (GatewaySettings, "HOST", "no_host! 999.1.1.1 1.2.3 ::g http://h h:80"),
        (SimulatorSettings, "OKX_IDLE_S", "inf 0 1e9"),
        (SimulatorSettings, "COINBASE_FIRST_REQUEST_S", "inf 0 1e9"),
        (IngestSettings, "HEALTH_HOST", "no_host! 999.1.1.1 [::1]"),
        (IngestSettings, "MAX_CONNECTION_AGE_S", "0.001 inf"),
        (IngestSettings, "WS_URL", "wss:// http://h wss://h:99999 wss://h/#x wss://[::1 wss://h:port"),
        (IngestSettings, "REST_URL", "https:// ws://h https://h?x=y https://h:0"),
        (IngestSettings, "SYMBOLS", ","),
        (OutwardSettings, "ALL_PROXY", "socks5://127.0.0.1:1 socks5h://h socks4://h socks://h ftp://h http:// http://h:0 http://h/path"),
        (OutwardSettings, "https_proxy", "socks5://127.0.0.1:1"),
        (OutwardSettings, "SSL_CERT_FILE", "/no/such/file /dev/null /"),
        (OutwardSettings, "SSL_CERT_DIR", "/no/such/folder /dev/null"),
        (OutwardSettings, "SSLKEYLOGFILE", "/no/such/folder/file /"),
        (Access, "MARKET_PULSE_API_KEY", "schlüssel a,b"),
        (AggregatorSettings, "CONVERSIONS", "USDT USDT:USD:EUR USD:USD USDT-USD , on"),
        (BusSettings, "REDIS_URL", ("redis+sentinel://[::1:26379/m redis+sentinel://h/ redis+sentinel://h/m/x redis+sentinel://h,/m redis://h/x "
         "redis://h:0 redis://h/1?db=2 unix://tmp/redis.sock unix:// rediss://h?ssl_ca_certs=/no/such/file rediss://h?ssl_ca_certs=/dev/null "
         "rediss://h?ssl_cert_reqs=perhaps rediss://h?ssl_keyfile=/dev/null rediss://h?ssl_check_hostname=perhaps redis://h?ssl_ca_certs=/x")),
    ],
)  # fmt: skip
def test_what_is_refused(
    kind: type[Settings], variable: str, texts: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in texts.split():
        monkeypatch.setenv(variable, text)
        with pytest.raises(SystemExit) as ended:
            load_settings(kind)
        assert ended.value.code == EXIT_BAD_CONFIGURATION, text
        assert capsys.readouterr().err.startswith(f"configuration: {variable.upper()}: "), text


def test_each_is_said_where_two_are_wrong(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SYMBOLS", "BTC,ETH")
    monkeypatch.setenv("MAX_SYMBOLS", "1")
    monkeypatch.setenv("WS_URL", "wss://")
    with pytest.raises(SystemExit):
        load_settings(IngestSettings)
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["MAX_SYMBOLS", "WS_URL"]


@pytest.mark.parametrize("variable", ["MAX_SYMBOLS", "MAX_CANDLE_SYMBOLS"])
def test_there_must_be_room_for_the_featured_symbols(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYMBOLS", "BTC,ETH")
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SystemExit):
        load_settings(IngestSettings)
    assert capsys.readouterr().err.startswith(f"configuration: {variable}: ")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("https://a.example/", "https://a.example"),
        ("HTTPS://A.Example:443", "https://a.example"),
        ("http://a.example:80,http://a.example:81", "http://a.example http://a.example:81"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost, null,*", "capacitor://localhost null *"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ],
)
def test_origins_are_kept_as_browsers_send_them(given: str, sent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", given)
    assert load_settings(GatewaySettings).cors_origins == tuple(sent.split())


# Options that redis-py accepts in a URL, and arguments of its connections.
REDIS_PY = [
    "decode_responses",
    "protocol",
    "socket_timeout",
    "socket_connect_timeout",
    "socket_read_size",
    "socket_keepalive",
    "retry_on_timeout",
    "retry",
    "max_connections",
    "health_check_interval",
    "timeout",
    "legacy_responses",
    "ssl_include_verify_flags",
    "ssl_exclude_verify_flags",
    "ssl_min_version",
    "ssl_ciphers",
    "ssl_ca_data",
    "ssl_ca_path",
    "ssl_password",
    "encoding",
    "encoding_errors",
    "parser_class",
    "connection_class",
    "credential_provider",
    "client_name",
    "lib_name",
    "lib_version",
    "redis_connect_func",
    "retry_on_error",
    "event_dispatcher",
    "path",
    "host",
    "port",
    "username",
    "password",
    "nonsense",
    "db",
]
VALUES = [
    "true",
    "false",
    "True",
    "1",
    "2",
    "3",
    "0",
    "-1",
    "99",
    "1e3",
    "inf",
    "nan",
    "abc",
    "",
    "%00",
    "ü",
    "🙂",
    "a&b",
    "utf-8",
]


@pytest.mark.parametrize("scheme", ["redis://h", "rediss://h", "redis+sentinel://[::1]:26379/m", "unix:///tmp/s"])
@pytest.mark.parametrize("option", REDIS_PY)
async def test_an_option_of_the_url_is_understood_or_refused(
    scheme: str, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in VALUES:
        monkeypatch.setenv("REDIS_URL", f"{scheme}?{option}={value}")
        settings = read(BusSettings)
        if not isinstance(settings, BusSettings):
            assert settings == EXIT_BAD_CONFIGURATION
            [line] = capsys.readouterr().err.splitlines()
            assert line.startswith("configuration: REDIS_URL: ")
            continue
        assert option in {"db", "username", "password"}, value
        client: Any = connect(settings.redis_url.get_secret_value())
        assert client.connection_pool.connection_kwargs[option] in {value, int(value) if value.isdigit() else value, "\0"}
        await client.aclose()


async def test_addresses_of_sentinels_have_no_brackets() -> None:
    client: Any = connect("redis+sentinel://u:p%2F@[::1]:26379,h:1,[2001:db8::1],x/m/3?sentinel_password=w")
    pool = client.connection_pool
    nodes = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(node["host"], node["port"]) for node in nodes] == [("::1", 26379), ("h", 1), ("2001:db8::1", 26379), ("x", 26379)]
    assert {node["password"] for node in nodes} == {"w"}
    told = pool.connection_kwargs
    assert (pool.service_name, told["db"], told["username"], told["password"]) == ("m", 3, "u", "p/")
    await client.aclose()


@pytest.mark.parametrize(
    ("environment", "proxies"),
    [
        ({}, {}),
        ({"HTTPS_PROXY": "http://p:1"}, {"https://x.example": "http://p:1", "wss://x.example": "http://p:1", "ws://x.example": "http://p:1"}),
        ({"https_proxy": "p:1"}, {"https://x.example": "http://p:1", "wss://x.example": "http://p:1", "ws://x.example": "http://p:1"}),
        ({"HTTP_PROXY": "http://p:1"}, {"http://x.example": "http://p:1", "ws://x.example": "http://p:1"}),
        ({"ALL_PROXY": "https://u:p%40@[::5]"}, dict.fromkeys(("http://x.example", "https://x.example", "ws://x.example", "wss://x.example"), "https://u:p%40@[::5]:443")),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8, .example"}, {"https://y.org": "http://p:80", "https://y.org:8443": "http://p:80", "http://11.2.3.4": "http://p:80"}),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "a,*"}, {}),
        ({"ALL_PROXY": "http://p", "NO_PROXY": "y.org:8443 10.2.3.4 x.example 11.2.3.4"}, {"https://y.org": "http://p:80"}),
        ({"WSS_PROXY": "http://w:2", "HTTPS_PROXY": "http://p:1"}, {"https://x.example": "http://p:1", "wss://x.example": "http://w:2", "ws://x.example": "http://p:1"}),
    ],
)  # fmt: skip
def test_proxies(environment: dict[str, str], proxies: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    way_out = WayOut(load_settings(OutwardSettings))
    asked = ["http://x.example", "https://x.example", "ws://x.example", "wss://x.example"]
    if "NO_PROXY" in environment:
        asked = ["https://x.example", "https://y.org", "https://y.org:8443", "http://10.2.3.4", "http://11.2.3.4"]
    assert {url: proxy for url in asked if (proxy := way_out.proxy(url))} == proxies
    for near in ("ws://127.0.0.1:9000", "http://localhost:8080", "http://[::1]:8080", "ws://simulator:9000"):
        assert way_out.proxy(near) is None


@contextlib.contextmanager
def secret(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None) -> Iterator[None]:
    monkeypatch.setattr("market_pulse.process.settings.SECRETS", folder)
    if content is None:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(content)
    yield


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"short", b"two words"])
@pytest.mark.parametrize("name", ["redis_url", "api_keys"])
def test_a_secret_that_is_there_is_read_or_refused(
    name: str, content: bytes | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without the secret a part would use another server, or serve data to everybody."""
    with secret(tmp_path, monkeypatch, name, content), pytest.raises(SystemExit) as ended:
        load_settings(GatewaySettings)
    assert ended.value.code == EXIT_BAD_CONFIGURATION
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"configuration: {name.upper()}: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_secret_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with secret(tmp_path, monkeypatch, "redis_url", b"redis://h"):
        (tmp_path / "redis_url").chmod(0)
        with pytest.raises(SystemExit):
            load_settings(BusSettings)


def test_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (
        secret(tmp_path, monkeypatch, "redis_url", b"redis://of-the-file\n"),
        secret(tmp_path, monkeypatch, "api_keys", b"a" * 16 + b"\n" + b"b" * 16 + b"\n"),
        secret(tmp_path, monkeypatch, "port", b"1"),  # a secret that no part reads
    ):
        settings = load_settings(GatewaySettings)
        assert settings.redis_url == SecretStr("redis://of-the-file")
        assert settings.api_keys == (SecretStr("a" * 16), SecretStr("b" * 16))
        assert settings.port == 8000
        monkeypatch.setenv("REDIS_URL", "redis://of-the-variable")
        (tmp_path / "redis_url").write_bytes(b"\xff")
        assert load_settings(GatewaySettings).redis_url == SecretStr("redis://of-the-variable")


PLAN = """
import json, sys
from deploy.local.parts import CannotRunError, plan
variable, *texts = json.load(sys.stdin)
for text in texts:
    try:
        planned = plan({variable: text}, demo=True)
    except CannotRunError as refused:
        print(json.dumps(str(refused)))
    else:
        print(json.dumps([planned.page_port, planned.redis_port]))
"""


@pytest.mark.parametrize("variable", ["PORT", "REDIS_PORT"])
def test_ports_of_make_up(variable: str) -> None:
    """Only ports are checked here; the parts check all other variables."""
    done = subprocess.run(
        [sys.executable, "-c", PLAN],
        input=json.dumps([variable, *NONSENSE]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for text, answer in zip(NONSENSE, map(json.loads, done.stdout.splitlines()), strict=True):
        if isinstance(answer, str):
            assert answer.startswith(f"{variable}: "), text
            assert "\n" not in answer, text
        else:
            assert text == "" or int(text) in answer, text


@pytest.mark.parametrize(("variable", "code"), [("MARKET_PULSE_URL", 2), ("MARKET_PULSE_API_KEY", 78)])
def test_the_command_line(variable: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET_PULSE_URL", "http://127.0.0.1:1")
    for text in NONSENSE:
        monkeypatch.setenv(variable, text)
        ended = CliRunner().invoke(app, ["status"], env={"COLUMNS": "300"})
        if not text and ended.exit_code == 0:
            continue  # an empty value counts as unset, and this machine may have a gateway on the default port
        assert ended.exit_code in {1, code}, (text, ended.output)
        assert isinstance(ended.exception, SystemExit), (text, ended.exception)
        if ended.exit_code == code:
            assert variable in ended.output, (text, ended.output)
