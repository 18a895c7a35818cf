"""Strict parsing of the addresses and URLs in settings. No I/O. No error text quotes its input, which may hold a password."""

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import parse_qsl, unquote

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,254}}\Z)(?:{_LABEL}\.)*{_LABEL}\.?")
_NODE = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(?:([^/?#]*)@)?([^@/?#]*)(/[^?#]*)?(?:\?([^#]*))?", re.DOTALL)
_SERVICE = re.compile(r"/([A-Za-z0-9._-]+)(?:/([0-9]*))?")
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

REDIS_PORT, SENTINEL_PORT = 6379, 26379
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_QUERIES = {
    "redis": ("db",),
    "rediss": ("db", *_TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname"),
    "unix": ("db", "username", "password"),
    "redis+sentinel": ("sentinel_password",),
}


@dataclass(frozen=True, slots=True)
class Url:
    """A URL in its parts. `user` and `password` are percent-decoded, or None. `path` begins with / or is empty."""

    scheme: str
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    hosts: str
    path: str
    query: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is, and the user to connect as.

    `nodes` holds host and port of the server. If `service` is set, `nodes` are Sentinels, and `service` is the name by which
    they know the master. If `path` is set, it is a Unix socket, and `nodes` is empty. `tls` is None for a plain connection,
    else a dict of redis-py's TLS options.
    """

    nodes: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    service: str | None = None
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        """The hosts, or the socket's path, to show to people: without user and password."""
        return self.path or ", ".join(host for host, _ in self.nodes)


def check_host(host: str) -> str:
    """Return the host if it is a host name or an IP address without brackets; an address is normalised.

    Raises:
        ValueError: it is neither.
    """
    if ":" in host:
        try:
            return str(IPv6Address(host))
        except AddressValueError:
            raise ValueError("not an IPv6 address") from None
    if host.replace(".", "").isdigit():  # otherwise 1.2.3 or 999.0.0.1 would pass as a name
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise ValueError("not an IPv4 address") from None
    if not _NAME.fullmatch(host):
        raise ValueError("not a host name or an IP address")
    return host


def is_near(host: str) -> bool:
    """Return whether a host is reached without a proxy: a loopback address, or a name without a dot (the local network)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host.rstrip(".")


def read_node(text: str, port: int) -> tuple[str, int]:
    """Parse `host` or `host:port` and return both; `port` is the default. An IPv6 address must be in brackets.

    Raises:
        ValueError: the text is neither, or its port is not in 1 to 65535.
    """
    if (found := _NODE.fullmatch(text)) is None:
        raise ValueError("must name host[:port]; percent-encode characters that have a meaning in a URL, / as %2F")
    bracketed, plain, given = found.groups()
    if bracketed and ":" not in bracketed:
        raise ValueError("not an IPv6 address")
    if given and not 0 < int(given) < 65536:
        raise ValueError("a port must be a number from 1 to 65535")
    return check_host(bracketed or plain), int(given or port)


def read_url(text: str, *schemes: str) -> Url:
    """Split a URL into its parts.

    Raises:
        ValueError: the text is no URL with one of these schemes, or it has characters that no URL may have.
    """
    expected = " or ".join(f"{scheme}://" for scheme in schemes)
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(f"must be {expected} without spaces and control characters")
    found = _URL.fullmatch(text)
    if found is None or found[1] not in schemes:
        raise ValueError(f"must begin with {expected}; percent-encode characters that have a meaning in a URL, / as %2F")
    user, _, password = (found[2] or "").partition(":")
    if found[2] is None:
        return Url(found[1], None, None, found[3], found[4] or "", found[5] or "")
    return Url(found[1], unquote(user), unquote(password), found[3], found[4] or "", found[5] or "")


def read_redis_url(text: str) -> RedisAddress:
    """Parse the URL of a Redis.

    Args:
        text: `redis://` or `rediss://[user:password@]host[:port][/db]`, `unix:///path`,
            or `redis+sentinel://[user:password@]host[:port][,host[:port]...]/name[/db]`. The options that each of them may
            have after a `?` are in _QUERIES.

    Raises:
        ValueError: the text is no such URL, or it has an option that is not allowed here.
    """
    url = read_url(text, *_QUERIES)
    options = _options(url)
    username, password = url.user or options.get("username"), url.password or options.get("password")
    if url.scheme == "unix":
        if url.hosts or len(url.path) < 2:
            raise ValueError("must be unix:///path")
        return RedisAddress(path=unquote(url.path), db=_db(options.get("db")), username=username, password=password)
    if url.scheme == "redis+sentinel":
        named = _SERVICE.fullmatch(url.path)
        if named is None:
            raise ValueError("must be redis+sentinel://host:port[,host:port...]/name[/db]")
        return RedisAddress(
            nodes=tuple(read_node(node, SENTINEL_PORT) for node in url.hosts.split(",")),
            service=named[1],
            db=_db(named[2]),
            username=username or None,
            password=password or None,
            sentinel_password=options.get("sentinel_password"),
        )
    db = url.path.removeprefix("/")
    if db and "db" in options:
        raise ValueError("names the database twice")
    return RedisAddress(
        nodes=(read_node(url.hosts, REDIS_PORT),),
        db=_db(db or options.get("db")),
        username=username or None,
        password=password or None,
        tls=_tls(options) if url.scheme == "rediss" else None,
    )


def _options(url: Url) -> dict[str, str]:
    """Parse the options after the ?. The Redis library accepts many more, but those would change what our code relies on."""
    allowed = _QUERIES[url.scheme]
    pairs = parse_qsl(url.query, keep_blank_values=True)
    for name, value in pairs:
        if name not in allowed:
            named = f", not ?{name}" if re.fullmatch("[a-z_]{1,40}", name) else ""
            raise ValueError(f"allows only the options {', '.join(f'?{option}' for option in allowed)}{named}")
        if not value:
            raise ValueError(f"?{name} has no value")
    if len(dict(pairs)) < len(pairs):
        raise ValueError("has an option twice after the ?")
    return dict(pairs)


def _db(text: str | None) -> int:
    if not text:
        return 0
    if not re.fullmatch("[0-9]{1,5}", text):
        raise ValueError("the database must be a number")
    return int(text)


def _tls(options: dict[str, str]) -> dict[str, Any]:
    tls: dict[str, Any] = {name: options[name] for name in _TLS_FILES if name in options}
    if (checked := options.get("ssl_cert_reqs")) is not None:
        if checked not in {"none", "optional", "required"}:
            raise ValueError("?ssl_cert_reqs must be none, optional or required")
        tls["ssl_cert_reqs"] = checked
    if (flag := options.get("ssl_check_hostname")) is not None:
        if flag.lower() not in _FLAGS:
            raise ValueError("?ssl_check_hostname must be true or false")
        tls["ssl_check_hostname"] = _FLAGS[flag.lower()]
    return tls
