"""Reads the control messages of Binance's clients, as strictly as Binance does."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_TEXT_ID = re.compile(r"[A-Za-z0-9]{1,36}")


@dataclass(frozen=True, slots=True)
class Request:
    """A control message that has been read."""

    method: str
    params: list[Any]
    id: int | str | None


class RequestError(Exception):
    """A control message that Binance refuses, with the error code and, if it could be read, the request's id."""

    def __init__(self, code: int, reason: str, request_id: int | str | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.request_id = code, reason, request_id


def read_request(text: str) -> Request:
    """Read a control message from its JSON text.

    Raises:
        RequestError: the text is not JSON, or not a control message.
    """
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        raise RequestError(3, f"Invalid JSON: expected value at line {wrong.lineno} column {wrong.colno}") from None
    if not isinstance(message, dict):
        raise RequestError(2, "Invalid request: expected a JSON object")
    request_id = message.get("id")
    if not _is_id(request_id):
        raise RequestError(2, "Invalid request: request ID must be an unsigned integer")
    method, params = message.get("method"), message.get("params", [])
    if method is None:
        raise RequestError(2, f"Invalid request: missing field `method` at line 1 column {len(text)}", request_id)
    if method not in METHODS:
        known = ", ".join(f"`{name}`" for name in METHODS)
        raise RequestError(2, f"Invalid request: unknown variant `{method}`, expected one of {known}", request_id)
    if not isinstance(params, list):
        raise RequestError(2, "Invalid request: invalid type, expected a sequence", request_id)
    return Request(method, params, request_id)


def stream_names(request: Request) -> list[str]:
    """Return the streams that a request names.

    Raises:
        RequestError: the request names no stream, or one of its names is not a text.
    """
    if not request.params:
        raise RequestError(2, "Invalid request: missing field `params`", request.id)
    if not all(isinstance(name, str) for name in request.params):
        raise RequestError(2, "Invalid request: invalid type, expected a string", request.id)
    return list(request.params)


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return _TEXT_ID.fullmatch(value) is not None
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63)
