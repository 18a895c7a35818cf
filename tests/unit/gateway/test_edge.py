"""Only a trusted proxy may state that it will hold the client's next request."""

import pytest

from gateway.api.edge import Edge
from gateway.server.protocol import PEER

SAYS = (b"x-market-pulse-edge", b"holds")


@pytest.mark.parametrize(
    ("trusted", "peer", "headers", "holds"),
    [
        pytest.param(["172.16.0.0/12"], "172.18.0.3", [SAYS], True, id="the edge"),
        pytest.param(["172.16.0.0/12"], "::ffff:172.18.0.3", [SAYS], True, id="the edge on a socket of IPv6"),
        pytest.param(["fd00::/8"], "fd00::3", [SAYS], True, id="the edge by IPv6"),
        pytest.param(["172.16.0.0/12"], "172.18.0.3", [], False, id="another proxy"),
        pytest.param(["172.16.0.0/12"], "172.18.0.3", [(SAYS[0], b"no")], False, id="it says something else"),
        pytest.param(["172.16.0.0/12"], "192.0.2.1", [SAYS], False, id="a client that says so"),
        pytest.param([], "127.0.0.1", [SAYS], False, id="no proxy is trusted"),
        pytest.param(["172.16.0.0/12"], "", [SAYS], False, id="no address"),
    ],
)
def test_holds(trusted: list[str], peer: str, headers: list[tuple[bytes, bytes]], holds: bool) -> None:
    scope = {"type": "http", "headers": headers, "extensions": {PEER: peer}}
    assert Edge(trusted).holds(scope) is holds
