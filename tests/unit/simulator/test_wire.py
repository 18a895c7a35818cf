"""The pure functions for frames, numbers, garbage and Binance's requests, tested by table and by property."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from simulator.binance.requests import RequestError, read_request
from simulator.garble import VARIETIES, Variety, garble
from simulator.wire import BINARY, TEXT, eight, frame, trimmed

MESSAGE: dict[str, Any] = {"topic": "t", "data": [{"px": "1.5", "b": [["1", "2"]], "n": 3}]}


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_an_independent_reader_reads_our_frames(size: int) -> None:
    reader = StreamReader()
    reader.feed_data(frame(b"x" * size))
    parsing = Frame.parse(reader.read_exact, mask=False)
    with pytest.raises(StopIteration) as parsed:
        next(parsing)
    assert parsed.value.value == Frame(Opcode.TEXT, b"x" * size)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(64500.0, 1, "64500"), (64000.7, 1, "64000.7"), (0.00001234, 9, "0.00001234"), (1200.0, 0, "1200"), (0.0, 4, "0")],
)
def test_trimmed(value: float, decimals: int, text: str) -> None:
    assert trimmed(value, decimals) == text


def test_eight() -> None:
    assert eight(64000.1) == "64000.10000000"


@given(variety=st.sampled_from(VARIETIES), seed=st.integers(0, 10**6))
def test_garbage_is_garbage(variety: Variety, seed: int) -> None:
    payload, opcode = garble(MESSAGE, ("px", "b"), variety, random.Random(seed))
    assert opcode == (BINARY if variety == "binary" else TEXT)
    if variety in {"truncated", "not_json"}:
        with pytest.raises(ValueError, match=r".*"):
            json.loads(payload)
    elif variety != "binary":
        assert json.loads(payload) != MESSAGE
    assert MESSAGE["data"][0]["px"] == "1.5"  # the original is unchanged


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_a_text_that_is_no_request_is_an_error(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_request(text)
    assert refused.value.code in {2, 3}
