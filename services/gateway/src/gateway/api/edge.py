"""Whether a request came through an edge that holds requests for streams for a while if no gateway can take them."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.types import Scope

from gateway.server.protocol import peer

HEADER, HOLDS = b"x-market-pulse-edge", b"holds"


class Edge:
    """Recognises requests from such an edge by a header.

    The header counts only if a trusted proxy sent it. The edge removes the header from its clients' own requests.

    Args:
        trusted: the networks of the trusted proxies, from TRUSTED_PROXIES.
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
        """Return whether a proxy will hold the client's next request if no gateway can take it then."""
        return (HEADER, HOLDS) in scope["headers"] and self._is_trusted(peer(scope))
