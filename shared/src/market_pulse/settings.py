"""Configuration from the environment: read once, typed, and refused at start with the variable's name when it is wrong."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .model import Symbol, parse_symbols

_REDIS_URL = re.compile(r"(rediss?|unix)://.+|redis\+sentinel://[^/]+/[^/]+(/\d+)?(\?.*)?")
SECRETS = Path("/run/secrets")  # where Docker puts them; a file there is read as the variable of its name, which comes first
EXIT_BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


def _read_symbols(value: Any) -> Any:
    return parse_symbols(value) if isinstance(value, str) else value


SymbolList = Annotated[tuple[Symbol, ...], NoDecode, BeforeValidator(_read_symbols)]


class Settings(BaseSettings):
    """What every part reads. A part's own settings are a subclass."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, secrets_dir=SECRETS if SECRETS.is_dir() else None
    )

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console", "auto"] = "auto"


def _check_redis_url(url: SecretStr) -> SecretStr:
    if not _REDIS_URL.fullmatch(url.get_secret_value()):
        raise ValueError("must be redis://, rediss://, unix:// or redis+sentinel://host:port[,host:port...]/name[/db]")
    return url


class BusSettings(Settings):
    """What every part on the bus reads."""

    # It may carry a password: never in a log line.
    redis_url: Annotated[SecretStr, AfterValidator(_check_redis_url)] = SecretStr("redis://127.0.0.1:6379/0")


class HealthSettings(Settings):
    """What every part without an HTTP API of its own reads: where its probes and metrics are served."""

    health_host: str = "127.0.0.1"
    health_port: int = Field(default=9100, ge=0, le=65535)


SettingsType = TypeVar("SettingsType", bound=Settings)


def load_settings(kind: type[SettingsType]) -> SettingsType:
    """Read settings from the environment, or end the process saying which variable is wrong and why."""
    try:
        return kind()
    except ValidationError as refused:
        for error in refused.errors(include_url=False, include_input=False):
            variable = "_".join(str(part) for part in error["loc"][:1]).upper()
            print(f"configuration: {variable}: {error['msg']}", file=sys.stderr)  # noqa: T201 - before logs exist
        raise SystemExit(EXIT_BAD_CONFIGURATION) from None
