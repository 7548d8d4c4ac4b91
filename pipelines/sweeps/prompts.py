"""The prompts of a sweep: written out, in a file, or a template filled from the rows of a dataset.

    prompts: {file: prompts.jsonl}
    prompts: {template: "Translate {{text}} into {{language}}.", dataset: phrases.csv, id: key}
    prompts: {template: "What is {{thing}}?", dataset: [{thing: rain}, {thing: snow}]}

Files lie beside the spec. A dataset is JSONL of objects or CSV with a header; rows may have more than the template
asks for. `id` names the column that holds the prompts' ids. All between {{ and }} is a variable: one that no column
is named after is an error, never a prompt with its braces still in it.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from pydantic_core import from_json

from cluster.errors import BadRequest
from pipelines.sweeps.axis import repeated
from pipelines.sweeps.strict import Strict

FILLED_KEYS = frozenset({"template", "dataset", "system", "id"})
TABLES = frozenset({".csv", ".tsv", ".json", ".yaml", ".yml", ".parquet", ".xlsx"})
"""Endings of files that are no list of prompts: their lines would pass for prompts."""
LONGEST_FIELD = 2**31 - 1  # characters: Python's own limit, 131,072, is less than one document
VARIABLE = re.compile(r"\{\{([^{}]*)\}\}")


@dataclass(frozen=True, slots=True)
class Unquoted:
    """A truth value in a YAML file, where `no`, `on` and `yes` are such, too: nobody knows what was written."""

    value: bool


class Prompt(Strict):
    """One prompt. id: how tables call it; p1, p2, … where none is given. system: instructions before it."""

    text: str = Field(min_length=1)
    id: str | None = Field(None, min_length=1, max_length=200)
    system: str | None = None

    @field_validator("text")
    @classmethod
    def _visible(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("an empty prompt")
        return text


def written_out(given: object, spec: Path | None) -> object:
    """Prompts as a list, where they are a mapping that names a file or a dataset; anything else as it is.

    spec: the spec's own file; None for a spec that came in a request, which names no files. Raises BadRequest
    naming file, line and variable.
    """
    if not isinstance(given, Mapping):
        return given
    if "template" in given or "dataset" in given:
        return _filled(given, spec)
    if spec is None:
        return given
    name = given.get("file")
    if set(given) != {"file"} or not isinstance(name, str):
        hint = "file: prompts.jsonl; or template: and dataset:"
        raise BadRequest(
            f"{spec}: prompts: a list, a file, or a template with a dataset", hint=hint, param="prompts"
        )
    return _of_file(spec.parent / name)


def text_of(path: Path) -> str:
    """A file's text. Raises BadRequest."""
    try:
        if path.is_char_device():  # one that never ends, as /dev/zero in somebody else's spec
            raise BadRequest(f"{path}: not a file", hint="name a text file")
        return path.read_text(encoding="utf-8-sig")  # Excel and Windows editors begin a file with a mark
    except FileNotFoundError:
        raise BadRequest(f"{path}: no such file", hint="configs/sweeps/demo.yaml is a working example") from None
    except (OSError, ValueError) as error:  # a name with a NUL, or bytes that are no UTF-8
        raise BadRequest(f"{path}: cannot be read: {error}") from None


def _of_file(path: Path) -> list[Any]:
    """JSONL of texts or prompt objects, or a line of text each."""
    ending = path.suffix.lower()
    if ending == ".jsonl":
        return [value for _, value in _jsonl(path, "prompts.file")]
    if ending in TABLES:
        hint = "a table goes with a template: prompts: {template: ..., dataset: FILE.csv}"
        raise BadRequest(
            f"{path}: prompts are JSONL, or text with a prompt a line", hint=hint, param="prompts.file"
        )
    return [line.strip() for line in text_of(path).split("\n") if line.strip()]


def _filled(given: Mapping[str, Any], spec: Path | None) -> list[dict[str, Any]]:
    unknown = sorted(set(map(str, given)) - FILLED_KEYS)
    template, system, key = given.get("template"), given.get("system"), given.get("id")
    if unknown or not isinstance(template, str) or not template.strip() or not isinstance(key, str | None):
        what = f"unknown key {unknown[0]!r}" if unknown else "template is a text, and id the name of a column"
        hint = f"keys: {', '.join(sorted(FILLED_KEYS))}"
        raise BadRequest(f"prompts: {what}", hint=hint, param="prompts.template" if not unknown else "prompts")
    if not isinstance(system, str | None):
        raise BadRequest("prompts: system is a text", param="prompts.system")
    prompts = []
    for where, row in _rows(given.get("dataset"), spec):
        prompt = {"text": _fill(template, row, where)}
        if system is not None:
            prompt["system"] = _fill(system, row, where)
        if key is not None:
            prompt["id"] = _said(row, key, where)
        prompts.append(prompt)
    return prompts


def _fill(template: str, row: Mapping[str, Any], where: str) -> str:
    text = VARIABLE.sub(lambda found: _said(row, found[1].strip(), where), template)
    if not text.strip():
        raise BadRequest(f"{where}: an empty prompt", param="prompts.dataset")
    return text


def _said(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if value is None:
        hint = f"it has: {', '.join(map(str, row)) or 'nothing'}"
        raise BadRequest(f"{where}: no value for the variable {name!r}", hint=hint, param="prompts.dataset")
    if isinstance(value, Unquoted):
        said = json.dumps(value.value)
        hint = f'yes, no, on and off are true or false in YAML; write it in quotes: {name}: "{said}"'
        raise BadRequest(f"{where}: {name} is {said}, and no text", hint=hint, param="prompts.dataset")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _rows(dataset: object, spec: Path | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows, each with how an error names it."""
    if isinstance(dataset, list):
        rows = map(_marked, dataset) if spec is not None and spec.suffix != ".json" else iter(dataset)
        found: Iterator[tuple[str, Any]] = ((f"prompts.dataset[{n}]", row) for n, row in enumerate(rows))
    elif isinstance(dataset, str) and spec is not None:
        path = spec.parent / dataset
        ending = path.suffix.lower()
        if ending in TABLES - {".csv"}:
            hint = "JSONL has one object a line"
            raise BadRequest(f"{path}: a dataset is JSONL or CSV", hint=hint, param="prompts.dataset")
        read = _csv(path) if ending == ".csv" else _jsonl(path, "prompts.dataset")
        found = ((f"{path}: line {line}", row) for line, row in read)
    else:
        what = "a list of objects" if spec is None else "a JSONL or CSV file, or a list of objects"
        raise BadRequest(f"prompts.dataset: should be {what}", param="prompts.dataset")
    for where, row in found:
        if not isinstance(row, Mapping):
            raise BadRequest(f"{where}: not an object", hint='{"name": "value"}', param="prompts.dataset")
        yield where, row


def _marked(row: object) -> object:
    """A row of a YAML file, in which truth values are no texts."""
    if not isinstance(row, Mapping):
        return row
    return {name: Unquoted(value) if isinstance(value, bool) else value for name, value in row.items()}


def _jsonl(path: Path, param: str) -> Iterator[tuple[int, Any]]:
    # Not splitlines: JSON may have U+2028 and its like inside of a text.
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, from_json(line, allow_inf_nan=False)
        except ValueError as error:
            raise BadRequest(f"{path}: line {number} is not JSON: {error}", param=param) from None


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows below the header. One that is too short lacks its last columns; one that is too long is refused."""
    csv.field_size_limit(LONGEST_FIELD)
    lines = csv.DictReader(io.StringIO(text_of(path), newline=""), strict=True)
    try:
        if (twice := repeated(name for name in lines.fieldnames or () if name.strip())) is not None:
            raise BadRequest(f"{path}: two columns are named {twice!r}", param="prompts.dataset")
        for row in lines:
            beyond: Any = row.pop(None, ())
            if any(value.strip() for value in beyond):  # most often a text with a comma and no quotes around it
                hint = 'a text with a comma in it stands in quotes: "rain, snow"'
                where = f"{path}: line {lines.line_num}"
                raise BadRequest(f"{where}: more values than columns", hint=hint, param="prompts.dataset")
            yield lines.line_num, row
    except csv.Error as error:
        raise BadRequest(f"{path}: line {lines.line_num} is not CSV: {error}", param="prompts.dataset") from None
