"""How servers on the internet are reached: through which proxy, and with which trusted certificate authorities.

The HTTP and WebSocket libraries could read both from the environment, but each does it in its own way. If a value is wrong they
end the program with an error that does not name the variable. So this module reads the variables once and passes them on.
"""

import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import AfterValidator, SecretStr

from . import tls
from .addresses import is_near, read_node, read_url
from .settings import Settings


def _check_proxy(given: SecretStr) -> SecretStr:
    text = given.get_secret_value()
    if text.lower().startswith("socks"):
        raise ValueError("SOCKS proxies are not supported: name an HTTP proxy, http://host:port, or unset this variable")
    url = read_url(text if "://" in text else f"http://{text}", "http", "https")
    host, port = read_node(url.hosts, 443 if url.scheme == "https" else 80)
    if url.path.strip("/") or url.query:
        raise ValueError("a proxy must have no path: http://host:port")
    user = "" if url.user is None else f"{quote(url.user, safe='')}:{quote(url.password or '', safe='')}@"
    return SecretStr(f"{url.scheme}://{user}{f'[{host}]' if ':' in host else host}:{port}")


Proxy = Annotated[SecretStr, AfterValidator(_check_proxy)] | None

# By the scheme of the URL: the first of these variables that is set. No standard defines the variables for WebSockets.
_PROXIES: Mapping[str, tuple[str, ...]] = {
    "http": ("http_proxy", "all_proxy"),
    "https": ("https_proxy", "all_proxy"),
    "ws": ("ws_proxy", "https_proxy", "http_proxy", "all_proxy"),
    "wss": ("wss_proxy", "https_proxy", "all_proxy"),
}


class OutwardSettings(Settings):
    """The usual variables for proxies and certificates, which other programs read, too. Their names may be in capitals."""

    http_proxy: Proxy = None
    https_proxy: Proxy = None
    all_proxy: Proxy = None
    ws_proxy: Proxy = None
    wss_proxy: Proxy = None
    socks_proxy: Proxy = None
    no_proxy: str = ""
    ssl_cert_file: Annotated[str, AfterValidator(tls.check_authorities)] | None = None
    ssl_cert_dir: Annotated[str, AfterValidator(tls.check_folders)] | None = None
    sslkeylogfile: Annotated[str, AfterValidator(tls.check_writable)] | None = None


class WayOut:
    """Decides how each server is reached. This machine, and host names without a dot, are always reached without a proxy."""

    def __init__(self, settings: OutwardSettings) -> None:
        self._settings = settings
        self._unproxied = [name for name in re.split(r"[\s,]+", settings.no_proxy) if name]

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """The trusted certificate authorities: of SSL_CERT_FILE and SSL_CERT_DIR, else this machine's and Mozilla's."""
        if self._settings.ssl_cert_file or self._settings.ssl_cert_dir:
            return ssl.create_default_context()
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context

    def proxy(self, url: str) -> str | None:
        """Return the URL of the proxy to use for a URL, or None if it is reached without a proxy."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if is_near(host) or any(_is_meant(entry, host, parts.port) for entry in self._unproxied):
            return None
        named: list[SecretStr | None] = [getattr(self._settings, variable) for variable in _PROXIES.get(parts.scheme, ())]
        return next((proxy.get_secret_value() for proxy in named if proxy is not None), None)

    def websocket_options(self, url: str) -> dict[str, Any]:
        """Return the options for websockets' `connect` that apply proxy and trust to a URL."""
        options: dict[str, Any] = {"proxy": self.proxy(url)}
        if url.startswith("wss:"):
            options["ssl"] = self.trust
        if (options["proxy"] or "").startswith("https:"):
            options["proxy_ssl"] = self.trust
        return options

    def http_client(self, **options: Any) -> httpx.AsyncClient:
        """Return an HTTP client that applies proxy and trust. `options` are passed to httpx."""
        return httpx.AsyncClient(trust_env=False, transport=_Routed(self), **options)


STRAIGHT = WayOut(OutwardSettings.model_construct())
"""No proxy and the default trust, whatever the environment says."""


def _is_meant(entry: str, host: str, port: int | None) -> bool:
    """Return whether an entry of NO_PROXY matches a host. An entry is a domain, an address, a network or `*`."""
    with suppress(ValueError):
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    domain, _, of_port = entry.lower().lstrip(".").partition(":")
    if of_port and of_port != str(port):
        return False
    return domain in {"*", host} or host.endswith(f".{domain}")


class _Routed(httpx.AsyncBaseTransport):
    """Sends each request through the proxy for its URL, because a redirect may lead to a URL with another proxy or none."""

    def __init__(self, way_out: WayOut) -> None:
        self._way_out = way_out
        self._transports: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._way_out.proxy(str(request.url))
        if proxy not in self._transports:
            trust = self._way_out.trust
            over = proxy and httpx.Proxy(proxy, ssl_context=trust if proxy.startswith("https:") else None)
            self._transports[proxy] = httpx.AsyncHTTPTransport(verify=trust, trust_env=False, proxy=over)
        return await self._transports[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()
