"""What `tail --json` prints: one object a line, whatever others publish, and what was missed."""

import orjson
import pytest

from cli.bus_tail import Message, objects_of


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
            Message("a", b"{}", -1), [b'{"missed":null}', b'{"channel":"a","message":{}}'], id="after nobody knows how many"
        ),
    ],
)
def test_objects_of(message: Message, lines: list[bytes]) -> None:
    assert [orjson.dumps(one) for one in objects_of(message)] == lines
