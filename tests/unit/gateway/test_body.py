"""The bytes of streams: every stream reads the same text, whatever else was written to it or to others."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stream import body as bodies
from gateway.stream.body import Body, Windows

TEXTS = st.lists(st.sampled_from([b"", b"price 64000.1", b"price 64000.2" * 300, bytes(range(256))]), max_size=8)


class Client:
    """One stream of a body, and the text that it was sent."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.sent = b""
        self.text = b""
        self.add(body.own(b"first", first=True), b"first")

    def add(self, piece: bytes, text: bytes) -> None:
        self.sent += piece
        self.text += text


@pytest.mark.parametrize("compressed", [True, False])
@given(data=st.data())
def test_every_stream_reads_its_own_text(compressed: bool, data: st.DataObject) -> None:
    body = Body(Windows(), chunked=False, compressed=compressed)
    clients = [Client(body)]
    for text in data.draw(TEXTS):
        match data.draw(st.sampled_from(["shared", "own", "join"])):
            case "shared":
                piece = body.shared(text)
                for client in clients:
                    client.add(piece, text)
            case "own":
                clients[-1].add(body.own(text), text)
                body.start_anew()
            case "join":
                clients.append(Client(body))
                body.start_anew()
    for client in clients:
        client.add(body.last(b"bye", zlib.crc32(client.text), len(client.text)), b"bye")
        if compressed:
            reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
            assert reader.decompress(client.sent) == client.text
            assert reader.eof
            assert not reader.unused_data
        else:
            assert client.sent == client.text


def test_each_piece_can_be_read_whole_at_once() -> None:
    body = Body(Windows(), chunked=False, compressed=True)
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert reader.decompress(body.own(b"snapshot", first=True)) == b"snapshot"
    for number in range(20):
        assert reader.decompress(body.shared(b"event %d" % number)) == b"event %d" % number


def test_a_piece_refers_back_to_earlier_ones_until_it_is_to_start_anew() -> None:
    text = bytes(range(250))
    body = Body(Windows(), chunked=False, compressed=True)
    first, again = body.shared(text), body.shared(text)
    body.start_anew()
    assert len(again) < len(first) / 10
    assert body.shared(text) == first


def test_beyond_the_most_windows_each_piece_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_WINDOWS", 1)
    windows = Windows()
    one, other = (Body(windows, chunked=False, compressed=True) for _ in range(2))
    text = bytes(range(250))
    first = one.shared(text)
    assert [other.shared(text), other.shared(text)] == [first, first]
    assert one.shared(text) != first
    one.start_anew()
    assert [other.shared(text), other.shared(text)] != [first, first], "the window is free"
    other.start_anew()
    other.start_anew()
    assert windows.kept == 0
