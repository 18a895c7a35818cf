"""The API's description (OpenAPI): FastAPI's own, and the streams, which are not routes of FastAPI."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from .event_stream import StreamQuery
from .keys import describe_keys
from .models import EVENTS, PROBLEM, Problem, Refused, StreamEvent, message_schemas
from .problems import STREAMS
from .routes import PROBLEMS

_EVENTS_TOLD = (
    "Events of these types, and a heartbeat event named `hb`. If `Accept` names text/event-stream, as an EventSource's does, "
    "a refusal with 429 or 503 also has this status: the stream then has one event named `refused`, and ends"
)


class GatewayApp(FastAPI):
    """FastAPI with an OpenAPI document that also has the streams, and the schemas of events and problems."""

    def openapi(self) -> dict[str, Any]:
        """Return the API's description. It mentions API keys only if this gateway needs them."""
        if self.openapi_schema is None:
            template = "#/components/schemas/{model}"
            shown = StreamEvent, Refused, Problem
            _, added = models_json_schema([(model, "serialization") for model in shown], ref_template=template)
            document = super().openapi()
            document["components"]["schemas"] |= added["$defs"] | message_schemas()
            document["paths"] = _streams() | document["paths"]
            if self.state.gateway.settings.api_keys:
                describe_keys(document)
        return super().openapi()


def _streams() -> dict[str, Any]:
    """Return the descriptions of a stream's two paths. Their parameters are those of `StreamQuery`."""
    symbols, *others = [
        _parameter("query", name, schema) for name, schema in StreamQuery.model_json_schema()["properties"].items()
    ]
    others.append(_parameter("header", "Last-Event-ID", {"anyOf": others[-1]["schema"]["anyOf"], "title": "Last-Event-Id"}))
    one = _parameter("path", "symbol", {"type": "string", "title": "Symbol"})
    responses = {
        "200": {"description": _EVENTS_TOLD, **EVENTS},
        "429": {"description": "Too many streams from this address; see Retry-After", **PROBLEM},
        **{str(status): response for status, response in PROBLEMS.items()},
    }

    def described(name: str, text: str, path: str, first: dict[str, Any]) -> dict[str, Any]:
        return {
            "get": {
                "tags": ["stream"],
                "summary": name.replace("_", " ").title(),
                "description": text,
                "operationId": f"{name}_{path}_get",
                "parameters": [first, *others],
                "responses": responses,
            }
        }

    return {
        f"{STREAMS}/{{symbol}}": described(
            "stream_symbol", "Stream one symbol: first a snapshot, then every change.", "api_realtime__symbol_", one
        ),
        STREAMS: described("stream_symbols", "Stream many symbols over one connection.", "api_realtime", symbols),
    }


def _parameter(place: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    schema.pop("default", None)
    described = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": place, "required": place == "path" or name == "symbols", "schema": schema, **described}
