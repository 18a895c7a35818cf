"""The form of a response that a client accepts, by its headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.negotiation import takes_events, takes_gzip, weights


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        pytest.param([], False, id="no header"),
        pytest.param([""], False, id="an empty one"),
        pytest.param(["gzip"], True, id="gzip"),
        pytest.param(["GZIP;Q=0.5"], True, id="in capitals"),
        pytest.param(["x-gzip"], True, id="its old name"),
        pytest.param(["br, gzip;q=0.001"], True, id="hardly"),
        pytest.param(["gzip;q=0"], False, id="refused"),
        pytest.param(["gzip ; q=0"], False, id="refused with spaces"),
        pytest.param(["gzip;q=0.0"], False, id="refused with a digit"),
        pytest.param(["gzip;q=0.000"], False, id="refused with three"),
        pytest.param(["gzip;q=0."], False, id="refused with a point"),
        pytest.param(["gzip;q=0, *"], False, id="refused, and all else taken"),
        pytest.param(["gzip;q=0;q=1"], False, id="refused first"),
        pytest.param(["x-gzip;q=0, gzip"], False, id="refused by its old name"),
        pytest.param(["gzip", "gzip;q=0"], False, id="taken and refused in two headers"),
        pytest.param(["br", "gzip"], True, id="in the second header"),
        pytest.param(["*"], True, id="anything"),
        pytest.param(["*;q=0"], False, id="nothing"),
        pytest.param(["*;q=0, gzip"], True, id="nothing else"),
        pytest.param(["identity"], False, id="plain"),
        pytest.param(["identity;q=0"], False, id="not plain, but nothing else named"),
        pytest.param(["identity;q=0, gzip;q=0.5"], True, id="rather gzip"),
        pytest.param(["identity;q=0, *"], True, id="anything but plain"),
        pytest.param(["identity;q=1, gzip;q=0.5"], False, id="rather plain"),
        pytest.param(["identity;q=0.5, gzip;q=1"], True, id="rather gzip than plain"),
        pytest.param(["gzip;q=2"], False, id="a weight above one"),
        pytest.param(["gzip;q=-1"], False, id="a weight below zero"),
        pytest.param(["gzip;q=nan"], False, id="no number"),
        pytest.param(["gzip;q=1e0"], False, id="a number as it is not written here"),
        pytest.param(["gzip;q=0.0001"], False, id="a digit too many"),
        pytest.param(["gzip;q="], False, id="no weight"),
        pytest.param(["gzip;level=9;q=0"], False, id="another parameter before it"),
        pytest.param(["gzipped, notgzip, gzip2"], False, id="names that only look like it"),
        pytest.param([",,gzip,,"], True, id="empty entries"),
        pytest.param(['";gzip'], False, id="a quote"),
    ],
)
def test_takes_gzip(headers: list[str], taken: bool) -> None:
    assert takes_gzip(headers) is taken


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        pytest.param(["text/event-stream"], True, id="an EventSource"),
        pytest.param(["text/event-stream;charset=utf-8"], True, id="with a parameter"),
        pytest.param(["application/json, Text/Event-Stream ; q=0.1"], True, id="among others"),
        pytest.param(["application/json", "text/event-stream"], True, id="in the second header"),
        pytest.param([], False, id="no header"),
        pytest.param(["*/*"], False, id="curl"),
        pytest.param(["text/*"], False, id="any text"),
        pytest.param(["text/event-stream;q=0"], False, id="refused"),
        pytest.param(["text/event-streams"], False, id="another name"),
    ],
)
def test_takes_events(headers: list[str], taken: bool) -> None:
    assert takes_events(headers) is taken


@given(st.lists(st.text(max_size=40), max_size=4))
def test_any_text_is_read(headers: list[str]) -> None:
    assert all(0 <= weight <= 1 for weight in weights(headers).values())
