"""Configuration from the environment: read once, typed, and rejected at start with the variable's name if it is wrong."""

import os
import socket
import sys
from contextlib import suppress
from errno import EADDRINUSE
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar, cast
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from market_pulse.conversions import DEFAULT_CONVERSIONS, Conversions, parse_conversions
from market_pulse.messages import DEFAULT_QUOTE, Symbol, parse_currency, parse_symbols

from . import tls
from .addresses import check_host, read_redis_url, read_url
from .logs import hide

SECRETS = Path("/run/secrets")  # where Docker puts secret files; a variable of the same name takes precedence
SECRET_FILES = ("redis_url", "api_keys")
EXIT_BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h
LONGEST_REASON = 300  # characters: a reason may quote the value, which may be long


def _read_conversions(value: Any) -> Any:
    return parse_conversions(value) if isinstance(value, str) else value


ConversionList = Annotated[Conversions, NoDecode, BeforeValidator(_read_conversions)]
Host = Annotated[str, AfterValidator(check_host)]
Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port
Seconds = Annotated[float, Field(ge=0.1, le=604_800)]  # at most a week: kernel timers cannot exceed some 25 days


class UnreadableSecretError(ValueError):
    """A secret file exists but cannot be read.

    This must end the process: without the secret it would use the default Redis, or serve clients that have no API key.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{SECRETS / name} cannot be read: {reason}")
        self.name = name


class _SecretFiles(PydanticBaseSettingsSource):
    """The secret files that Docker gives a container. Only SECRET_FILES are read: others may be for other programs."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of the field's secret file (or None), the field's name, and False because the text is no JSON."""
        del field
        text = read_secret(field_name) if field_name in SECRET_FILES else None
        return text, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of all fields that have a secret file and no value yet."""
        wanted = {name: field for name, field in self.settings_cls.model_fields.items() if name not in self.current_state}
        found = {name: self.get_field_value(field, name)[0] for name, field in wanted.items()}
        return {name: text for name, text in found.items() if text is not None}


def read_secret(name: str) -> str | None:
    """Return a secret file's text without surrounding whitespace, or None if there is no such file.

    Raises:
        UnreadableSecretError: the file cannot be read, or cannot be looked for.
    """
    try:
        return (SECRETS / name).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as failed:
        raise UnreadableSecretError(name, failed.strerror or type(failed).__name__) from None
    except UnicodeDecodeError:
        raise UnreadableSecretError(name, "not UTF-8 text") from None


class Settings(BaseSettings):
    """The settings that every part has. A part adds its own in a subclass."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console", "auto"] = "auto"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the first taking precedence: arguments, the environment, secret files."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _SecretFiles(settings_cls)


def _check_redis_url(url: SecretStr) -> SecretStr:
    options = read_redis_url(url.get_secret_value()).tls
    if options is not None:
        tls.check_environment()
        tls.check_options(**options)
    return url


class BusSettings(Settings):
    """The settings of every part that uses Redis."""

    # The URL may hold a password, so it must not appear in a log line.
    redis_url: Annotated[SecretStr, AfterValidator(_check_redis_url)] = SecretStr("redis://127.0.0.1:6379/0")


class ConversionSettings(Settings):
    """The setting of every part that must know which markets in another quote also price a symbol."""

    conversions: ConversionList = DEFAULT_CONVERSIONS


class QuoteSettings(Settings):
    """The setting of every part that reads symbols as users write them: `BTC` is BTC-USDT if `quote` is USDT."""

    quote: Annotated[str, AfterValidator(parse_currency)] = DEFAULT_QUOTE


class SymbolSettings(QuoteSettings):
    """The setting of every part that needs the featured symbols, which always stream."""

    # The default is read as the variable would be, so it depends on the quote, too.
    symbols: Annotated[tuple[Symbol, ...], NoDecode] = Field(default=cast("Any", "BTC,ETH,SOL,BNB"), validate_default=True)

    @field_validator("symbols", mode="before")
    @classmethod
    def _read_symbols(cls, value: Any, others: ValidationInfo) -> Any:
        if not isinstance(value, str):
            return value
        # pydantic leaves out a field that is wrong itself.
        if not (symbols := parse_symbols(value, others.data.get("quote", DEFAULT_QUOTE))):
            raise ValueError("must name at least one symbol")
        return symbols


class HealthSettings(Settings):
    """The settings of every part without an HTTP API of its own: the address on which it serves probes and metrics."""

    health_host: Host = "127.0.0.1"
    health_port: Port = 9100


SettingsType = TypeVar("SettingsType", bound=Settings)


def load_settings(kind: type[SettingsType]) -> SettingsType:
    """Read settings from the environment. If one is wrong, end the process and print which variable is wrong and why.

    From then on, log lines do not show the secrets in these settings.
    """
    try:
        settings = kind()
    except ValidationError as refused:
        lines = [
            (str(error["loc"][0]).upper() if error["loc"] else "", error["msg"])
            for error in refused.errors(include_url=False, include_input=False, include_context=False)
        ]
        refuse(*lines)
    except UnreadableSecretError as refused:
        refuse((refused.name.upper(), str(refused)))
    for name in kind.model_fields:
        hide_secrets(getattr(settings, name))
    return settings


def hide_secrets(value: Any) -> None:
    """Keep a setting's secrets out of the logs: a URL's password and its options' values, or any other SecretStr whole."""
    match value:
        case tuple():
            for one in value:
                hide_secrets(one)
        case SecretStr() if "://" in value.get_secret_value():
            hide_secrets(value.get_secret_value())
        case SecretStr():
            hide(value.get_secret_value())
        case str() if "://" in value:
            with suppress(ValueError):  # the text only looks like a URL
                url = read_url(value, value.partition("://")[0])
                hide(url.password or "", *(unquote(option.partition("=")[2]) for option in url.query.split("&")))


def refuse(*wrong: tuple[str, str]) -> NoReturn:
    """End the process with EXIT_BAD_CONFIGURATION, and print one line per wrong variable with its name and the reason."""
    for variable, why in wrong:
        reason = " ".join(why.removeprefix("Value error, ").split())[:LONGEST_REASON]
        print(f"configuration: {f'{variable}: ' if variable else ''}{reason}", file=sys.stderr)  # noqa: T201 - before logs exist
    raise SystemExit(EXIT_BAD_CONFIGURATION) from None


def check_can_listen(host: str, port: int, variables: tuple[str, str]) -> None:
    """End the process and name the variable if this machine cannot listen on an address. uvicorn's error names no variable.

    The exit code is EXIT_BAD_CONFIGURATION. If the port is in use it is 1, because the port may be free soon: the supervisor
    should restart the process.
    """
    host_variable, port_variable = variables
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as unknown:
        refuse((host_variable, f"cannot listen on {host}: {getattr(unknown, 'strerror', None) or unknown}"))
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
            except PermissionError as denied:
                refuse((port_variable, f"cannot listen on port {port}: {denied.strerror}"))
            except OSError as failed:
                if failed.errno == EADDRINUSE:
                    print(f"configuration: {port_variable}: port {port} is in use", file=sys.stderr)  # noqa: T201
                    raise SystemExit(1) from None
                refuse((host_variable, f"cannot listen on {host}: {failed.strerror}"))
