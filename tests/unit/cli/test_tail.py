"""The output of `tail --json`: one object a line, for any published bytes, with the number of missed messages."""

import orjson
import pytest

from cli import bus_tail
from cli.bus_tail import Message, Waiting, objects_of


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        pytest.param(Message("a", b'{"x":1.0}'), [b'{"channel":"a","message":{"x":1.0}}'], id="as it is"),
        pytest.param(
            Message("a", b'{\r\n "x": "\\n"\n}\n'), [b'{"channel":"a","message":{  "x": "\\n" }}'], id="on several lines"
        ),
        pytest.param(
            Message("a", b'{"x":%b}' % (b"1" * 40)),
            [b'{"channel":"a","message":{"x":%b}}' % (b"1" * 40)],
            id="more digits than any type has",
        ),
        pytest.param(Message('"a"', b"hello\n\xff"), [b'{"channel":"\\"a\\"","text":"hello\\n\xef\xbf\xbd"}'], id="no JSON"),
        pytest.param(Message("a", b""), [b'{"channel":"a","text":""}'], id="nothing"),
        pytest.param(Message("a", b"1"), [b'{"channel":"a","text":"1"}'], id="no object"),
        pytest.param(Message("a", b"{}", 3), [b'{"missed":3}', b'{"channel":"a","message":{}}'], id="after three others"),
        pytest.param(
            Message("a", b"{}", -1), [b'{"missed":null}', b'{"channel":"a","message":{}}'], id="after an unknown number"
        ),
    ],
)
def test_objects_of(message: Message, lines: list[bytes]) -> None:
    assert [orjson.dumps(one) for one in objects_of(message)] == lines


@pytest.mark.parametrize(
    ("events", "read"),
    [
        pytest.param("ab", [("a", 0), ("b", 0)], id="all"),
        pytest.param("abcde", [("c", 2), ("d", 0), ("e", 0)], id="the oldest go"),
        pytest.param("a!b", [("a", 0), ("b", -1)], id="a gap is told where it is"),
        pytest.param("!abcd", [("b", -1), ("c", 0), ("d", 0)], id="a gap before the oldest, which goes"),
        pytest.param("abc!d", [("b", 1), ("c", 0), ("d", -1)], id="a gap after the oldest, which goes"),
        pytest.param("!abcdefg", [("e", -1), ("f", 0), ("g", 0)], id="an unknown number, and four more"),
        pytest.param("ab!cdefg", [("e", -1), ("f", 0), ("g", 0)], id="two, an unknown number, and two more"),
    ],
)
async def test_what_a_slow_reader_missed_is_told(
    monkeypatch: pytest.MonkeyPatch, events: str, read: list[tuple[str, int]]
) -> None:
    """Put messages a, b, … and lost connections into a queue for three messages."""
    monkeypatch.setattr(bus_tail, "MAX_WAITING", 3)
    waiting = Waiting()
    for event in events:
        if event == "!":
            waiting.mark_gap()
        else:
            waiting.put(event, b"{}")
    assert [(message.channel, message.missed) for message in [await waiting.get() for _ in read]] == read
