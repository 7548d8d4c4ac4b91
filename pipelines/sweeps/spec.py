"""What a sweep is asked to do: models × prompts × parameters × repeats.

Two shapes are read: ours, and the one of the experiments API (`prompt`, `model`, `parameter_ranges`,
`response_count`). An error names the file and the key.
"""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import from_json

from cluster import yaml_text
from cluster.errors import BadRequest
from pipelines.sweeps.axis import repeated
from pipelines.sweeps.budget import Budget, Moment, Price
from pipelines.sweeps.configurations import RETRIEVAL, Configurations
from pipelines.sweeps.constraints import Constraint, unknown_name
from pipelines.sweeps.cuts import check_cuts, cuts_of
from pipelines.sweeps.parameters import LIMITS, Parameters
from pipelines.sweeps.prompts import Prompt, text_of, written_out
from pipelines.sweeps.retrieval import RetrievalAxes
from pipelines.sweeps.sample import Sample
from pipelines.sweeps.scoring_spec import JUDGED, JudgeSpec, Weights, check_scorers
from pipelines.sweeps.stopping import StopWhen, check_stop
from pipelines.sweeps.strict import Strict

BATCH_KEYS = frozenset({"prompt", "model", "parameter_ranges", "response_count"})
MAX_REPEATS = 10**12  # above any plan that may run, so that the plan's own limit is what answers
NO_NUL = r"^[^\x00]*$"  # which PostgreSQL cannot store
MODEL_ID = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$"
NOT_ASKED = frozenset(
    {
        "name",
        "description",
        "budget",
        "prices",
        "deadline",
        "deadline_s",
        "scorers",
        "weights",
        "judge",
        "stop_when",
    }
)
"""What a spec says that changes no cell: a run is the same with and without."""


def _prompt(given: object) -> object:
    return {"text": given} if isinstance(given, str) else given


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
Description = Annotated[str, Field(pattern=NO_NUL)]
Model = Annotated[str, Field(pattern=MODEL_ID)]
Prompts = tuple[Annotated[Prompt, BeforeValidator(_prompt)], ...]


class SweepSpec(Strict):
    """A sweep; docs/sweeps.md says what each key does.

    repeats: how often each combination runs. seeds: whether each cell sends a seed of its own. greedy_anchor: one
    more cell for each prompt and model, at temperature 0; without, the cells are the combinations times repeats.
    """

    name: Name
    description: Description = ""
    models: tuple[Model, ...]
    prompts: Prompts
    parameters: Parameters = Parameters()
    repeats: int = Field(1, ge=0, le=MAX_REPEATS)
    seeds: bool = True
    greedy_anchor: bool = False
    configurations: Annotated[tuple[Parameters, ...], Field(min_length=1)] | None = None
    retrieval: RetrievalAxes | None = None
    sample: Sample | None = None
    constraints: Annotated[tuple[Constraint, ...], Field(min_length=1)] | None = None
    scorers: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    weights: Weights | None = None
    judge: JudgeSpec | None = None
    stop_when: StopWhen | None = None
    prices: dict[Model, Price] | None = None
    budget: Budget | None = None
    deadline: Moment | None = None
    deadline_s: float | None = Field(None, gt=0, allow_inf_nan=False)

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

    @model_validator(mode="after")
    def _combined(self) -> Self:
        if self.configurations is not None:
            self._check_listed()
        known = {*self.space.axes, *chain.from_iterable(self.space.listed or ())}
        strange = unknown_name(self.constraints or (), known)
        if strange is not None:
            raise ValueError(
                f"constraints look at {strange!r}, which nothing sets; set are: {', '.join(sorted(known))}"
            )
        check_cuts(cuts_of(self.space))
        return self

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if self.budget is not None and self.budget.max_cost_usd is not None:
            unpriced = [model for model in self.models if model not in (self.prices or {})]
            if unpriced:
                raise ValueError(f"budget.max_cost_usd needs the price of {unpriced[0]}: prices names none")
        check_scorers(self.scorers, self.weights, self.judge)
        if self.stop_when is not None:
            check_stop(
                self.stop_when,
                prompts=len(self.prompts),
                repeats=self.repeats,
                scorers=self.scorers,
                judged=self.judge is not None,
            )
        return self

    @cached_property
    def space(self) -> Configurations:
        """What is asked of each model and prompt."""
        axes = {} if self.configurations is not None else dict(self.parameters.axes)
        if self.retrieval is not None:
            axes |= {RETRIEVAL + name: axis for name, axis in self.retrieval.axes.items()}
        listed = None
        if self.configurations is not None:
            fixed = {name: axis.at(0) for name, axis in self.parameters.axes.items()}
            own = ({name: axis.at(0) for name, axis in one.axes.items()} for one in self.configurations)
            listed = [{**fixed, **one} for one in own]
        return Configurations(axes=axes, listed=listed, sample=self.sample, constraints=self.constraints or ())

    @cached_property
    def sent(self) -> tuple[str, ...]:
        """The names of all parameters that some cell sends, `seed` aside."""
        names = [name for name in self.space.axes if not name.startswith(RETRIEVAL)]
        greedy = ["temperature"] if self.greedy_anchor else []
        return tuple(dict.fromkeys(chain(chain.from_iterable(self.space.listed or ()), names, greedy)))

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

    @property
    def scored_by(self) -> str:
        """Hash of what decides the scores of the stored answers: two specs that agree score alike."""
        said = self.model_dump(mode="json", include={"scorers", "weights", "judge"})
        return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()

    def judged_by(self, judge: JudgeSpec) -> "SweepSpec":
        """The same with another judge; its cells are the same."""
        named = self.scorers is None or JUDGED in self.scorers
        scorers = self.scorers if named or self.scorers is None else (*self.scorers, JUDGED)
        return self.model_copy(update={"judge": judge, "scorers": scorers})

    def asked(self) -> dict[str, Any]:
        """What decides the cells: two specs that ask the same are one run."""
        said = self.model_dump(mode="json", exclude_none=True, exclude=set(NOT_ASKED))
        if not self.greedy_anchor:
            del said["greedy_anchor"]  # runs of before there was one keep their names
        return said

    def _check_listed(self) -> None:
        assert self.configurations is not None
        if self.sample is not None and self.sample.kind != "grid":
            raise ValueError("configurations are listed one by one; leave sample out")
        for what, one in (
            ("parameters", self.parameters),
            *((f"configurations[{n}]", one) for n, one in enumerate(self.configurations)),
        ):
            for name, axis in one.axes.items():
                if axis.count != 1:
                    raise ValueError(f"{what}.{name} has {axis.count} values; beside configurations each has one")
        assert self.space.listed is not None
        if any(one.keys() >= set(LIMITS) for one in self.space.listed):
            raise ValueError(f"{' and '.join(LIMITS)} are two names of one limit: name one")
        if (twice := repeated(json.dumps(one, sort_keys=True) for one in self.space.listed)) is not None:
            raise ValueError(f"the configuration {twice} is given twice; repeats run a cell again")


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


INSIDE: dict[str, type[Strict]] = {
    "parameters": Parameters,
    "parameter_ranges": Parameters,
    "configurations": Parameters,
    "prompts": Prompt,
    "retrieval": RetrievalAxes,
    "sample": Sample,
    "constraints": Constraint,
    "prices": Price,
    "budget": Budget,
    "judge": JudgeSpec,
    "stop_when": StopWhen,
}
"""What stands under a spec's keys: whose keys an error lists."""


def load_spec(path: Path) -> SweepSpec:
    """A spec from a YAML or JSON file. Raises BadRequest naming file and key."""
    text = text_of(path)
    try:
        data = from_json(text, allow_inf_nan=False) if path.suffix == ".json" else yaml_text.load(text)
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise BadRequest(f"{path}: not {kind}: {' '.join(str(error).split())}") from None
    if isinstance(data, dict):
        data = {**data, **({"prompts": written_out(data["prompts"], path)} if "prompts" in data else {})}
    return read_spec(data, origin=f"{path}: ")


def read_spec(data: object, *, origin: str = "") -> SweepSpec:
    """A spec from parsed YAML or JSON, in either shape. Raises BadRequest with `param`, the key's path."""
    if not isinstance(data, dict):
        raise BadRequest(f"{origin}not a mapping", hint="keys such as name, models, prompts, parameters")
    if BATCH_KEYS & data.keys():
        return _validated(BatchSpec, data, origin).spec()
    if "prompts" in data:
        data = {**data, "prompts": written_out(data["prompts"], None)}
    return _validated(SweepSpec, data, origin)


Kind = TypeVar("Kind", bound=Strict)


def _validated(kind: type[Kind], data: Mapping[str, Any], origin: str) -> Kind:
    try:
        # By way of JSON: strict models take a JSON array for a tuple, and YAML's dates become text.
        text = json.dumps(data, default=_written)
        found = kind.model_validate_json(text)
    except BadRequest as error:  # of what a spec is made of, with its own `param`
        raise BadRequest(f"{origin}{error.message}", hint=error.hint, param=error.param) from None
    except ValidationError as error:
        raise _explain(kind, error, origin) from None
    except ValueError as error:  # a lone surrogate, or a circular anchor in YAML
        raise BadRequest(f"{origin}cannot be read: {error}") from None
    # Inside of an object, as of response_format, anything may stand; no JSON that is sent or stored has these.
    if "NaN" in text or "Infinity" in text:
        strange = next(_not_finite(data, ""), None)
        if strange is not None:
            raise BadRequest(f"{origin}{strange}: infinity and NaN are no values", param=strange)
    return found


def _written(value: object) -> str:
    """What YAML has and JSON has not, as text. Raises ValueError for what would be another thing as text."""
    if isinstance(value, date):
        return str(value)
    raise ValueError(f"a value of YAML's type {type(value).__name__}")


def _not_finite(value: object, path: str) -> Iterator[str]:
    """The paths of numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _not_finite(one, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _not_finite(one, f"{path}[{place}]")


def _explain(kind: type[Strict], error: ValidationError, origin: str) -> BadRequest:
    problems = error.errors(include_url=False, include_context=False)
    # A misspelt key is reported twice, as unknown and as missing: the unknown one tells more.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    param = ""
    hint: str | None
    for part in first["loc"]:
        param += f"[{part}]" if isinstance(part, int) else f".{part}" if param else str(part)
    if first["type"] == "extra_forbidden":
        known = INSIDE.get(str(first["loc"][0]), kind) if len(first["loc"]) > 1 else kind
        message, hint = "unknown key", f"known keys: {', '.join(sorted(known.model_fields))}"
    elif first["type"] == "missing":
        message, hint = "missing", "this key is required"
    else:
        message = first["msg"].removeprefix("Value error, ")
        got = repr(first["input"])
        hint = f"got {got}" if len(got) <= 60 and first["type"] != "value_error" else None
    where = f"{origin}{param}: " if param else origin
    return BadRequest(f"{where}{message}", hint=hint, param=param or None)
