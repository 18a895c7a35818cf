"""deploy/edge/haproxy.cfg where its times have to suit the gateway's."""

import re

from gateway.settings import GatewaySettings
from support.parts import ROOT

HANGS_NO_LONGER_THAN_S = 8  # docs/architecture.md promises it


def test_goodbyes_are_said_before_a_closed_port_counts_as_dead() -> None:
    """A gateway that stops closes its port first, then ends its streams; the edge must not cut those that wait their turn."""
    backends = (ROOT / "deploy/edge/haproxy.cfg").read_text().split("\nbackend ")
    checked = [backend for backend in backends if "on-marked-down shutdown-sessions" in backend]
    assert len(checked) == 2
    for backend in checked:
        [(inter_s, fall)] = re.findall(r"check inter (\d+)s fall (\d+)", backend)
        [answer_s] = re.findall(r"timeout check (\d+)s", backend)
        assert (int(fall) - 1) * int(inter_s) >= GatewaySettings.model_fields["drain_s"].default
        assert int(fall) * (int(inter_s) + int(answer_s)) <= HANGS_NO_LONGER_THAN_S
