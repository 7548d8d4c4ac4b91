"""How many items an answer lists: by its list's markers, in JSON, or by commas where it is one line."""

import json
import re

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.markup import Kind

SEPARATOR = re.compile(r"\s*(?:[,;、，]\s*(?:and|or|&)?|\s(?:and|or|&)\s)\s*", re.IGNORECASE)
LONGEST = 8  # words of an item that stands between commas


def items_in(answer: Answer) -> int | None:
    """The items at the outermost level of its lists; None where it lists nothing that can be counted.

    Without a list the lines count where there are several short ones, or the parts between commas of a single
    sentence. JSON lists what its array has, or the only array in its object.
    """
    if answer.text.lstrip()[:1] in ("[", "{"):
        return _in_json(answer.text)
    depths = [block.depth for block in answer.blocks if block.kind is Kind.ITEM]
    if depths:
        outermost = min(depths)
        return sum(depth < outermost + 2 for depth in depths)
    lines = [line for line in answer.text.splitlines() if line.strip()]
    if len(lines) > 1:
        return len(lines) if all(len(line.split()) <= LONGEST for line in lines) else None
    if len(answer.all_sentences) != 1:
        return None
    parts = [part for part in SEPARATOR.split(answer.all_sentences[0].rpartition(":")[2]) if part.strip()]
    return len(parts) if all(len(part.split()) <= LONGEST for part in parts) else None


def _in_json(text: str) -> int | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        arrays = [value for value in found.values() if isinstance(value, list)]
        found = arrays[0] if len(arrays) == 1 else None
    return len(found) if isinstance(found, list) else None
