"""What the lab's routes accept. The names are seed 003's."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from deployments.gateway.lab.paging import LARGEST_ID, MOST_TAGS
from deployments.gateway.wire import Wire
from pipelines.sweeps.spec import MODEL_ID, NO_NUL, Name

SAYS_SOMETHING = r"^[^\x00]*[^\s\x00][^\x00]*$"  # and no NUL, which PostgreSQL cannot store
MOST_IDS = 1000  # of answers in one request

Description = Annotated[str, Field(max_length=10_000, pattern=NO_NUL)]
Tag = Annotated[str, Field(min_length=1, max_length=50)]
Number = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
Step = Annotated[float, Field(gt=0, le=2)]
Format = Literal["csv", "json", "xlsx", "pdf", "parquet", "html"]
Filters = Annotated[
    list[dict[str, Any]] | dict[str, Any] | None,
    Field(
        description="Conditions that all hold: a list of {field, op, value}, or an object of columns, each with a "
        "value, a list of values, or {op: value}; op is one of eq, ne, lt, le, gt, ge, in, contains."
    ),
]


def _none_twice(what: str, values: list[Any]) -> None:
    if len(set(values)) != len(values):
        raise ValueError(f"{what} is given twice")


class ExperimentRequest(Wire):
    """Body of `POST /api/experiments`: one prompt over ranges, both ends included."""

    name: Name
    description: Description = ""
    prompt: Annotated[str, Field(min_length=1, max_length=1_000_000, pattern=SAYS_SOMETHING)]
    temperature_min: Temperature = 0.1
    temperature_max: Temperature = 1.0
    temperature_step: Step = 0.1
    top_p_min: TopP = 0.1
    top_p_max: TopP = 1.0
    top_p_step: Step = 0.1
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = 150
    response_count: Annotated[int, Field(ge=1, le=LARGEST_ID)] = 5
    experiment_type: Literal["single"] = "single"
    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS)] = Field(default_factory=list)
    favorited: bool = False
    archived: bool = False

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _none_twice("a tag", self.tags)
        return self


class BatchLabels(Wire):
    """Body of `PATCH /api/experiments/batch/{id}`; what is not named stays, and null is no value of anything."""

    name: Name = "unnamed"
    description: Description = ""
    tags: Annotated[list[Tag], Field(max_length=MOST_TAGS)] = Field(default_factory=list)
    favorited: bool = False
    archived: bool = False

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _none_twice("a tag", self.tags)
        return self

    def values(self) -> dict[str, Any]:
        """What was named."""
        return self.model_dump(exclude_unset=True)


class GenerateRequest(Wire):
    """Body of `POST /api/responses/generate`."""

    experiment_id: Number
    model: Annotated[str, Field(pattern=MODEL_ID)]


class ResponseIds(Wire):
    """Body of `POST /api/metrics/batch` and `/compare`."""

    response_ids: Annotated[list[Number], Field(min_length=1, max_length=MOST_IDS)]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _none_twice("an id", self.response_ids)
        return self


class BatchExport(Wire):
    """Body of `POST /api/export/batch`."""

    batch_id: Number
    format: Format = "json"
    fields: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None
    filters: Filters = None


class CustomExport(Wire):
    """Body of `POST /api/export/custom`: of experiments and batches together."""

    batch_ids: Annotated[list[Number], Field(max_length=50)] = Field(default_factory=list)
    experiment_ids: Annotated[list[Number], Field(max_length=50)] = Field(default_factory=list)
    format: Format = "json"
    fields: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None
    filters: Filters = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.batch_ids and not self.experiment_ids:
            raise ValueError("name batch_ids or experiment_ids")
        _none_twice("a batch", self.batch_ids)
        _none_twice("an experiment", self.experiment_ids)
        return self
