"""Runs the gateway without `no-transform` in its streams' heads, so that a proxy may compress them."""

import gateway.api.event_stream
from gateway.__main__ import main
from gateway.api.event_stream import HEADERS

setattr(  # noqa: B010 - a constant
    gateway.api.event_stream,
    "HEADERS",
    tuple((name, value.replace(b", no-transform", b"")) for name, value in HEADERS),
)
main()
