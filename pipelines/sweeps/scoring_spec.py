"""What a spec says about scores: which, with which weights, and who judges."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from cluster.errors import BadRequest
from pipelines.sweeps.strict import Strict

if TYPE_CHECKING:
    from pipelines.sweeps.scoring.judge import Judge

JUDGED = "judge"  # the scorer of that name
MAX_JUDGE_REPEATS = 20  # verdicts on one answer: past this they cost more than the answers

Weights = Annotated[dict[str, float], Field(min_length=1, description="of scores in `overall`")]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Criterion = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class JudgeSpec(Strict):
    """A served model that grades the answers. criteria: what each is about, by name. repeats: verdicts on each."""

    model: str = Field(min_length=1, max_length=128)
    criteria: dict[Criterion, Text] = Field(min_length=1, max_length=10)
    repeats: int = Field(1, ge=1, le=MAX_JUDGE_REPEATS)

    @property
    def judge(self) -> "Judge":
        """The judge itself."""
        from pipelines.sweeps.scoring.judge import Judge

        return Judge(id=self.model, criteria=self.criteria, repeats=self.repeats)


QUALITY = {"quality": "how well the answer does what the prompt asks: it is right, complete and clear"}
"""What a judge judges by where nobody says."""


def judge_from(
    spec: JudgeSpec | None, *, model: str | None, criteria: Sequence[str], repeats: int | None
) -> JudgeSpec | None:
    """A spec's judge, or the one that a command line names; what it leaves open is the spec's.

    criteria: as `NAME=TEXT`. Raises BadRequest, with `param`.
    """
    if model is None and spec is None:
        if criteria or repeats is not None:
            raise BadRequest("no judge: the spec names none", hint="--judge MODEL", param="judge")
        return None
    given: dict[str, str] = {}
    for text in criteria:
        name, equals, meaning = text.partition("=")
        if not equals or name in given:
            raise BadRequest(f"--criterion {text[:80]!r} is not NAME=TEXT, each name once", param="criterion")
        given[name] = meaning
    asked = {"model": model, "criteria": given or None, "repeats": repeats}
    known: dict[str, object] = {"criteria": QUALITY} if spec is None else spec.model_dump()
    try:
        return JudgeSpec.model_validate(known | {name: value for name, value in asked.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"judge.{where}: {first['msg']}", param=f"judge.{where}") from None


def check_scorers(
    scorers: Collection[str] | None, weights: Mapping[str, float] | None, judge: JudgeSpec | None
) -> None:
    """Raises BadRequest with `param` for a name that no scorer has, and for weights that make no mean."""
    if scorers is None and weights is None:
        return
    from pipelines.sweeps.scoring.scorers import scorers_of

    scorers_of(scorers, weights=weights, judge=judge.judge if judge is not None else None)
