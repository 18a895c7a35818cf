"""Limits refuse new streams and keep the existing ones."""

import pytest

from gateway.api.event_stream import Limits
from gateway.api.problems import ProblemError


def test_a_place_given_back_can_be_taken_again() -> None:
    limits = Limits(most=2, most_per_address=2)
    owner = limits.take("192.0.2.1")
    limits.take("192.0.2.2")
    with pytest.raises(ProblemError) as full:
        limits.take("192.0.2.3")
    assert full.value.status == 503
    limits.give_back(owner)
    limits.take("192.0.2.3")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", id="IPv4"),
        pytest.param("2001:db8::1", "2001:db8::2:2", id="one IPv6 host has a whole /64"),
        pytest.param("::ffff:192.0.2.1", "::ffff:192.0.2.1", id="IPv4 on an IPv6 socket"),
        pytest.param("local", "local", id="a Unix socket"),
    ],
)
def test_one_address_cannot_take_all(first: str, second: str) -> None:
    limits = Limits(most=9, most_per_address=1)
    limits.take(first)
    with pytest.raises(ProblemError) as full:
        limits.take(second)
    assert full.value.status == 429
    limits.take("198.51.100.7")


def test_ipv4_hosts_on_an_ipv6_socket_are_not_one() -> None:
    limits = Limits(most=9, most_per_address=1)
    assert len({limits.take(f"::ffff:192.0.2.{host}") for host in range(3)}) == 3
