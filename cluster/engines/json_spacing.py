"""JSON that an answer is held to has one space after `:` and `,`, and no other blanks.

Where blanks are free, a small model that would rather say something else writes them until its tokens are used up.
These spaces are what most models write of themselves; without any, they do worse.
"""

import json
from collections.abc import Mapping
from typing import Any

KEY = "x-guidance"  # read by llguidance at the root of a schema
SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def spaced(schema: Any) -> Any:
    """The schema with its spacing; one that says its own keeps it, and what is no object stays as it is."""
    return {KEY: SPACING, **schema} if isinstance(schema, Mapping) else schema


def spaced_request(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A request's fields with the spacing in the schema that they hold, if they hold one."""
    made = dict(fields)
    wanted, outputs = made.get("response_format"), made.get("structured_outputs")
    if isinstance(outputs, Mapping) and "json" in outputs:
        schema = outputs["json"]
        schema = json.loads(schema) if isinstance(schema, str) else schema
        made["structured_outputs"] = {**outputs, "json": spaced(schema)}
    elif isinstance(outputs, Mapping) and outputs.get("json_object"):
        made["structured_outputs"] = {"json": spaced({"type": "object"})}
    if not isinstance(wanted, Mapping):
        return made
    holder = wanted.get("json_schema")
    if isinstance(holder, Mapping) and "schema" in holder:
        made["response_format"] = {**wanted, "json_schema": {**holder, "schema": spaced(holder["schema"])}}
    elif wanted.get("type") == "json_object" and outputs is None:
        del made["response_format"]
        made["structured_outputs"] = {"json": spaced({"type": "object"})}
    return made
