"""Wrong options have an exit code of their own, and no error text contains a password."""

import pytest
from typer.testing import CliRunner

from cli.app import app


@pytest.mark.parametrize(
    "redis_url", ["sec://ret", "redis://:sec/ret@127.0.0.1", "redis://:secret@[127.0.0.1", "redis+sentinel://secret"]
)
@pytest.mark.parametrize(
    "command", ["watch BTC --redis", "tail ticks:* --redis", "verify --redis", f"replay {__file__} --into"]
)
def test_what_is_no_url_of_a_bus_is_refused(command: str, redis_url: str) -> None:
    ended = CliRunner().invoke(app, [*command.split(), redis_url])
    assert ended.exit_code == 2
    assert "URL of a bus" in ended.output
    assert not any(part in ended.output for part in ("sec", "ret"))


@pytest.mark.parametrize("url", ["http://[zz]", "http://gateway:port", "http://gate way:8080/\n"])
@pytest.mark.parametrize("command", ["watch BTC", "watch BTC --json", "status"])
def test_what_is_no_url_of_a_gateway_is_refused(command: str, url: str) -> None:
    ended = CliRunner().invoke(app, [*command.split(), "--url", url])
    assert ended.exit_code == 2
    assert "URL of a gateway" in ended.output


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
@pytest.mark.parametrize("command", ["watch BTC", "tail ticks:*", "verify", "record tape"])
def test_a_time_that_nobody_can_wait_for_is_refused(command: str, seconds: str) -> None:
    ended = CliRunner().invoke(app, [*command.split(), "--seconds", seconds])
    assert ended.exit_code == 2
    assert "--seconds" in ended.output


@pytest.mark.parametrize("speed", ["nan", "inf", "0"])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    ended = CliRunner().invoke(app, ["replay", __file__, "--into", "redis://h", "--speed", speed])
    assert ended.exit_code == 2
    assert "--speed" in ended.output
