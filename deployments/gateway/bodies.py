"""OpenAPI's description of bodies that routes read themselves, so that they can name what is wrong in them."""

from functools import cache
from typing import Any

from pydantic import BaseModel


def json_body(*kinds: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` for a JSON body that is one of the models."""
    schemas = [_inlined(kind) for kind in kinds]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@cache  # a test builds an app, and a large schema takes longer than the test
def _inlined(kind: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON schema without references, which would point nowhere inside the document."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                return resolved(definitions[node["$ref"].rsplit("/", 1)[-1]])
            # A discriminator's mapping is of references too; the alternatives say the same by their constants.
            return {key: resolved(value) for key, value in node.items() if key != "discriminator"}
        return [resolved(item) for item in node] if isinstance(node, list) else node

    result: dict[str, Any] = resolved(schema)
    return result
