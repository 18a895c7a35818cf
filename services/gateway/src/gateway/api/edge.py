"""Whether a request came by an edge that holds the requests of streams for a while when no gateway is there."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.types import Scope

from gateway.server.protocol import peer

HEADER, HOLDS = b"x-market-pulse-edge", b"holds"


class Edge:
    """Knows by a header that a request came by such an edge. Only a trusted proxy is believed: the edge removes a client's own.

    Args:
        trusted: the networks of the proxies, as TRUSTED_PROXIES names them.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        networks = [ip_network(network) for network in trusted]

        @lru_cache(maxsize=256)
        def is_trusted(address: str) -> bool:
            try:
                parsed = ip_address(address)
            except ValueError:
                return False
            if isinstance(parsed, IPv6Address):
                parsed = parsed.ipv4_mapped or parsed
            return any(parsed in network for network in networks)

        self._is_trusted = is_trusted

    def holds(self, scope: Scope) -> bool:
        """Tell whether the client's next request will be held if this gateway is away by then."""
        return (HEADER, HOLDS) in scope["headers"] and self._is_trusted(peer(scope))
