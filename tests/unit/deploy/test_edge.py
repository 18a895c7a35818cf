"""The times in deploy/edge/haproxy.cfg keep the promises of the documentation."""

import re

import pytest
import yaml

from support.parts import ROOT

HANGS_NO_LONGER_THAN_S = 8  # docs/architecture.md promises it


def test_who_hangs_is_cut_in_time() -> None:
    """An EventSource itself would show the last price for as long as its connection is open."""
    backends = (ROOT / "deploy/edge/haproxy.cfg").read_text().split("\nbackend ")
    checked = [backend for backend in backends if "on-marked-down shutdown-sessions" in backend]
    assert len(checked) == 4  # checks of readiness and of liveness, each for EventSources and for all other clients
    for backend in checked:
        [(inter_s, fall)] = re.findall(r"check inter (\d+)s fall (\d+)", backend)
        [answer_ms] = re.findall(r"timeout check (\d+)ms", backend)
        assert int(fall) * (int(inter_s) + int(answer_ms) / 1000) <= HANGS_NO_LONGER_THAN_S


@pytest.mark.parametrize("path", ["docker-compose.yml", "deploy/swarm/stack.yml"])
def test_little_is_kept_for_who_reads_slowly(path: str) -> None:
    """This is the kernel's part of the buffers, which the edge's own configuration cannot set."""
    assert yaml.safe_load((ROOT / path).read_text())["services"]["edge"]["sysctls"] == {"net.ipv4.tcp_notsent_lowat": 16384}


@pytest.mark.parametrize("path", ["haproxy.cfg", "bus-port.cfg"])
def test_a_dns_that_is_silent_takes_nobody_away(path: str) -> None:
    """By default, HAProxy drops a server whose name it could not resolve for 30 seconds."""
    [section] = re.findall(r"^resolvers .*\n((?:  .*\n)+)", (ROOT / "deploy/edge" / path).read_text(), re.MULTILINE)
    held = dict(re.findall(r"^  hold (\w+) (\S+)$", section, re.MULTILINE))
    assert {held.get(no_answer) for no_answer in ("timeout", "refused", "other")} == {"24h"}
