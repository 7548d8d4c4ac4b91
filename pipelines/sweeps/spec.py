"""What a sweep is asked to do: models × prompts × parameters × repeats.

Two shapes are read: ours, and the one of the experiments API (`prompt`, `model`, `parameter_ranges`,
`response_count`). An error names the file and the key.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import from_json

from cluster import yaml_text
from cluster.errors import BadRequest
from pipelines.sweeps.axis import Axis, Bounds, read_axis, repeated

BATCH_KEYS = frozenset({"prompt", "model", "parameter_ranges", "response_count"})
MAX_REPEATS = 10**12  # above any plan that may run, so that the plan's own limit is what answers
NO_NUL = r"^[^\x00]*$"  # which PostgreSQL cannot store
MODEL_ID = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$"


class Strict(BaseModel):
    """Base of specs: no unknown key, no coercion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


def _axis(bounds: Bounds) -> Any:
    number = {"type": "integer" if bounds.whole else "number", "maximum": bounds.most}
    if bounds.least is not None:
        number["minimum"] = bounds.least
    if bounds.above is not None:
        number["exclusiveMinimum"] = bounds.above
    stepped = {
        "type": "object",
        "properties": {"min": number, "max": number, "step": {"type": number["type"], "exclusiveMinimum": 0}},
        "required": ["min", "max", "step"],
        "additionalProperties": False,
    }
    return Annotated[
        Axis | None,
        PlainValidator(partial(_read, bounds=bounds)),
        PlainSerializer(_dump),
        WithJsonSchema({"anyOf": [number, {"type": "array", "items": number}, stepped]}),
    ]


def _read(given: object, bounds: Bounds) -> Axis | None:
    return None if given is None else read_axis(given, bounds)


def _dump(axis: Axis | None) -> Any:
    return None if axis is None else axis.dump()


_PENALTY = Bounds(least=-2, most=2)


class Parameters(Strict):
    """Sampling parameters, each one value, a list, or `{min, max, step}` with both ends included.

    One that is not named is left to the model. max_tokens: tokens of an answer at most.
    """

    temperature: _axis(Bounds(least=0, most=2)) = None  # type: ignore[valid-type]  # built by a function
    top_p: _axis(Bounds(above=0, most=1)) = None  # type: ignore[valid-type]
    max_tokens: _axis(Bounds(whole=True, least=1, most=1_000_000)) = None  # type: ignore[valid-type]
    frequency_penalty: _axis(_PENALTY) = None  # type: ignore[valid-type]
    presence_penalty: _axis(_PENALTY) = None  # type: ignore[valid-type]
    repetition_penalty: _axis(Bounds(above=0, most=10)) = None  # type: ignore[valid-type]
    top_k: _axis(Bounds(whole=True, least=-1, most=1_000_000)) = None  # type: ignore[valid-type]
    min_p: _axis(Bounds(least=0, most=1)) = None  # type: ignore[valid-type]
    min_tokens: _axis(Bounds(whole=True, least=0, most=1_000_000)) = None  # type: ignore[valid-type]

    @property
    def axes(self) -> dict[str, Axis]:
        """The parameters that were named, in a fixed order."""
        found = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: axis for name, axis in found if axis is not None}


class Prompt(Strict):
    """One prompt. id: how tables call it; p1, p2, … where none is given. system: instructions before it."""

    text: str = Field(min_length=1)
    id: str | None = Field(None, min_length=1, max_length=200)
    system: str | None = None


def _prompt(given: object) -> object:
    return {"text": given} if isinstance(given, str) else given


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
Description = Annotated[str, Field(pattern=NO_NUL)]
Model = Annotated[str, Field(pattern=MODEL_ID)]
Prompts = tuple[Annotated[Prompt, BeforeValidator(_prompt)], ...]


class SweepSpec(Strict):
    """A sweep. repeats: how often each combination runs. seeds: whether each cell sends a seed of its own."""

    name: Name
    description: Description = ""
    models: tuple[Model, ...]
    prompts: Prompts
    parameters: Parameters = Parameters()
    repeats: int = Field(1, ge=0, le=MAX_REPEATS)
    seeds: bool = True

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what, values in (
            ("model", list(self.models)),
            ("prompt id", [prompt.id for prompt in self.named_prompts]),
            ("prompt", [(prompt.text, prompt.system) for prompt in self.prompts]),
        ):
            if (twice := repeated(values)) is not None:
                shown = twice[0] if isinstance(twice, tuple) else twice
                raise ValueError(f"the {what} {str(shown)[:60]!r} is given twice; repeats run a cell again")
        return self

    @property
    def named_prompts(self) -> tuple[Prompt, ...]:
        """The prompts, each with an id."""
        return tuple(
            prompt if prompt.id is not None else Prompt(text=prompt.text, system=prompt.system, id=f"p{place}")
            for place, prompt in enumerate(self.prompts, start=1)
        )

    def canonical(self) -> str:
        """The spec as JSON that `read_spec` reads again: the same text for the same spec."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, ensure_ascii=False)


class BatchSpec(Strict):
    """A sweep as the experiments API asks for it."""

    name: Name
    description: Description = ""
    prompt: str = Field(min_length=1)
    model: Model
    parameter_ranges: Parameters = Parameters()
    response_count: int = Field(1, ge=0, le=MAX_REPEATS)
    seeds: bool = True

    def spec(self) -> SweepSpec:
        """The same sweep in our own shape."""
        return SweepSpec(
            name=self.name,
            description=self.description,
            models=(self.model,),
            prompts=(Prompt(text=self.prompt),),
            parameters=self.parameter_ranges,
            repeats=self.response_count,
            seeds=self.seeds,
        )


def load_spec(path: Path) -> SweepSpec:
    """A spec from a YAML or JSON file. Raises BadRequest naming file and key."""
    text = _text(path)
    try:
        data = from_json(text, allow_inf_nan=False) if path.suffix == ".json" else yaml_text.load(text)
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise BadRequest(f"{path}: not {kind}: {' '.join(str(error).split())}") from None
    if isinstance(data, dict) and isinstance(data.get("prompts"), dict):
        data = {**data, "prompts": _prompts_of_file(data["prompts"], path)}
    return read_spec(data, origin=f"{path}: ")


def read_spec(data: object, *, origin: str = "") -> SweepSpec:
    """A spec from parsed YAML or JSON, in either shape. Raises BadRequest with `param`, the key's path."""
    if not isinstance(data, dict):
        raise BadRequest(f"{origin}not a mapping", hint="keys such as name, models, prompts, parameters")
    if BATCH_KEYS & data.keys():
        return _validated(BatchSpec, data, origin).spec()
    return _validated(SweepSpec, data, origin)


Kind = TypeVar("Kind", bound=Strict)


def _validated(kind: type[Kind], data: Mapping[str, Any], origin: str) -> Kind:
    try:
        # By way of JSON: strict models take a JSON array for a tuple, and YAML's dates become text.
        return kind.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        raise _explain(kind, error, origin) from None
    except ValueError as error:  # a lone surrogate, or a circular anchor in YAML
        raise BadRequest(f"{origin}cannot be read: {error}") from None


def _explain(kind: type[Strict], error: ValidationError, origin: str) -> BadRequest:
    problems = error.errors(include_url=False, include_context=False)
    # A misspelt key is reported twice, as unknown and as missing: the unknown one tells more.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    param = ""
    hint: str | None
    for part in first["loc"]:
        param += f"[{part}]" if isinstance(part, int) else f".{part}" if param else str(part)
    if first["type"] == "extra_forbidden":
        inside: dict[str, type[Strict]] = {
            "parameters": Parameters,
            "parameter_ranges": Parameters,
            "prompts": Prompt,
        }
        known = inside.get(str(first["loc"][0]), kind) if len(first["loc"]) > 1 else kind
        message, hint = "unknown key", f"known keys: {', '.join(sorted(known.model_fields))}"
    elif first["type"] == "missing":
        message, hint = "missing", "this key is required"
    else:
        message = first["msg"].removeprefix("Value error, ")
        got = repr(first["input"])
        hint = f"got {got}" if len(got) <= 60 and first["type"] != "value_error" else None
    where = f"{origin}{param}: " if param else origin
    return BadRequest(f"{where}{message}", hint=hint, param=param or None)


def _prompts_of_file(given: Mapping[str, Any], spec: Path) -> list[Any]:
    """Prompts of `{file: …}`, relative to the spec: JSONL of texts or prompt objects, or a line of text each."""
    name = given.get("file")
    if set(given) != {"file"} or not isinstance(name, str):
        raise BadRequest(f"{spec}: prompts: a list, or one key `file`", hint="file: prompts.jsonl", param="prompts")
    path = spec.parent / name
    lines = [line for line in _text(path).splitlines() if line.strip()]
    if path.suffix != ".jsonl":
        return [line.strip() for line in lines]
    prompts = []
    for number, line in enumerate(lines, start=1):
        try:
            prompts.append(from_json(line, allow_inf_nan=False))
        except ValueError as error:
            raise BadRequest(f"{path}: line {number} is not JSON: {error}", param="prompts.file") from None
    return prompts


def _text(path: Path) -> str:
    try:
        if path.is_char_device():  # one that never ends, as /dev/zero in somebody else's spec
            raise BadRequest(f"{path}: not a file", hint="name a text file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadRequest(f"{path}: no such file", hint="configs/sweeps/demo.yaml is a working example") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path}: cannot be read: {error}") from None
