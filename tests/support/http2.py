"""Sends one HTTP/2 request, also a malformed one that no HTTP library would send, and reads the response."""

import socket
import ssl
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

Headers = list[tuple[str, str]]


@dataclass
class Answered:
    """The response: status, headers and body, and whether the stream was reset before or after it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: bool = False


def request_for(path: str, method: str = "GET", *more: tuple[str, str]) -> Headers:
    return [(":method", method), (":path", path), (":scheme", "https"), (":authority", "localhost"), *more]


def ask(
    port: int,
    headers: Headers,
    *,
    ends: bool = True,
    body: bytes | None = None,
    trust: ssl.SSLContext | None = None,
    within_s: float = 20,
) -> Answered:
    """Send one request, over TLS if a certificate is given to trust, and return the response.

    `ends`: the request ends with its head. Otherwise it ends with the body, or never if there is no body.
    """
    with socket.create_connection(("127.0.0.1", port), within_s) as plain:
        if trust is None:
            return _ask(plain, headers, ends, body)
        trust.set_alpn_protocols(["h2"])
        with trust.wrap_socket(plain, server_hostname="127.0.0.1") as secret:
            return _ask(secret, headers, ends, body)


def _ask(connection: socket.socket, headers: Headers, ends: bool, body: bytes | None) -> Answered:
    config = h2.config.H2Configuration(
        header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
    )
    far, answered = h2.connection.H2Connection(config), Answered()
    far.initiate_connection()
    far.send_headers(1, headers, end_stream=ends)
    if body is not None:
        far.send_data(1, body, end_stream=True)
    connection.sendall(far.data_to_send())
    while data := connection.recv(65_536):
        for event in far.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                answered.headers = {str(name): str(value) for name, value in event.headers}
                answered.status = int(answered.headers[":status"])
            elif isinstance(event, h2.events.DataReceived):
                answered.body += event.data
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                answered.reset = True
                return answered
            elif isinstance(event, h2.events.StreamEnded):
                return answered
        connection.sendall(far.data_to_send())
    return answered
