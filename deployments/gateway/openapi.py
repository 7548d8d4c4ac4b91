"""What `/openapi.json` says beyond FastAPI's own: the errors of every route, streams, and how to authenticate."""

from typing import Any

from fastapi import FastAPI

from deployments.gateway.errors import is_openai
from deployments.gateway.graphql.envelope import MEDIA_TYPE as GRAPHQL
from deployments.gateway.graphql.envelope import is_graphql
from deployments.gateway.ollama.errors import is_ollama

_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_OPENAI_ERROR = {
    "type": "object",
    "required": ["message", "type", "param", "code"],
    "properties": {"message": _TEXT, "type": _TEXT, "param": _MAYBE, "code": _MAYBE},
}
_OWN_ERROR = {
    "type": "object",
    "required": ["code", "message", "hint"],
    "properties": {"code": _TEXT, "message": _TEXT, "hint": _MAYBE, "param": _TEXT, "legacy_code": _TEXT},
}
_ANTHROPIC_ERROR = {
    "type": "object",
    "required": ["type", "message"],
    "properties": {"type": _TEXT, "message": _TEXT},
}
_GRAPHQL_ERROR = {
    "type": "object",
    "required": ["message", "extensions"],
    "properties": {
        "message": _TEXT,
        "path": {"type": "array"},
        "extensions": {"type": "object", "required": ["code"], "properties": {"code": _TEXT, "hint": _MAYBE}},
    },
}
_SCHEMAS = {
    "GraphQLErrors": {
        "type": "object",
        "required": ["errors"],
        "properties": {"errors": {"type": "array", "items": _GRAPHQL_ERROR}},
    },
    "OllamaError": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
    "OpenAIError": {"type": "object", "required": ["error"], "properties": {"error": _OPENAI_ERROR}},
    "Error": {"type": "object", "required": ["error"], "properties": {"error": _OWN_ERROR}},
    "AnthropicError": {
        "type": "object",
        "required": ["type", "error"],
        "properties": {"type": {"const": "error"}, "error": _ANTHROPIC_ERROR},
    },
}
_VALIDATION = ("HTTPValidationError", "ValidationError")  # FastAPI's own: nothing here answers in their shape


def install(app: FastAPI) -> None:
    """Let the app describe itself so, once it is asked."""
    build = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(build())
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with what FastAPI does not know; changes it in place."""
    for path, item in document["paths"].items():
        for operation in item.values():
            _complete_operation(path, operation)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in _VALIDATION:
        schemas.pop(name, None)
    schemas.update(_SCHEMAS)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a person's access token."}
    }
    document["security"] = [{"bearer": []}, {}]  # {}: a server on loopback may ask for none
    return document


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    name = _error_of(path)
    schema = {"$ref": f"#/components/schemas/{name}"}
    failed = {"application/json": {"schema": schema}}
    if is_graphql(path):
        failed[GRAPHQL] = {"schema": schema}
        responses["200"]["content"][GRAPHQL] = {"schema": {"type": "object"}}
    responses.setdefault("default", {"description": "What went wrong", "content": failed})
    if _can_stream(path, operation):
        content = responses["200"].setdefault("content", {})
        if is_ollama(path):
            content.setdefault("application/x-ndjson", {"schema": {"type": "string"}})
        else:  # without a schema: readers of this document disagree on whether it is the stream's or an event's
            content.setdefault("text/event-stream", {})


def _error_of(path: str) -> str:
    if is_ollama(path):
        return "OllamaError"
    if is_graphql(path):
        return "GraphQLErrors"
    return "AnthropicError" if path.startswith("/v1/messages") else "OpenAIError" if is_openai(path) else "Error"


def _can_stream(path: str, operation: dict[str, Any]) -> bool:
    if path.endswith("/events"):
        return True
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    kinds = body.get("anyOf", [body])
    return "200" in operation["responses"] and any("stream" in kind.get("properties", {}) for kind in kinds)
