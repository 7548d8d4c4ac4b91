"""What a sweep may take: tokens, money, time. None of it changes which cells there are."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from pipelines.sweeps.strict import Strict

PER = 1_000_000  # tokens that a price is for
MOST_USD = 1_000_000_000  # of a price: times all tokens that a plan may have it is a float still


class Price(Strict):
    """What a model costs, in US dollars for a million tokens."""

    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _payable(self) -> Self:
        if max(self.prompt, self.completion) > MOST_USD:
            raise ValueError(f"a price is at most ${MOST_USD:,}")
        return self

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """So many tokens, in US dollars."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / PER


class Budget(Strict):
    """Of a run over all its sessions: when it is spent, no further cell starts. Cells in flight end.

    max_tokens_total: prompts and answers. max_cost_usd: by the spec's prices.
    """

    max_tokens_total: int | None = Field(None, ge=1)
    max_cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.max_tokens_total is None and self.max_cost_usd is None:
            raise ValueError("names no limit: max_tokens_total or max_cost_usd")
        return self

    def spent(self, tokens: int, cost: float) -> str | None:
        """What of it is used up, as a sentence; None while there is more."""
        if self.max_tokens_total is not None and tokens >= self.max_tokens_total:
            return f"its budget of {self.max_tokens_total:,} tokens is spent"
        if self.max_cost_usd is not None and cost >= self.max_cost_usd:
            return f"its budget of ${self.max_cost_usd:,.2f} is spent"
        return None


def _moment(given: object) -> object:
    if not isinstance(given, str):
        return given
    moment = datetime.fromisoformat(given)
    if moment.tzinfo is None:
        raise ValueError(f"a moment has a zone, as 2026-01-31T18:00:00Z; got {given!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first and the last hours of all in another zone are no time in UTC
        raise ValueError(f"a moment from year 1 to 9999 in UTC; got {given!r}") from None


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[datetime, BeforeValidator(_moment), PlainSerializer(_written)]


def seconds_left(deadline: datetime | None, deadline_s: float | None, now: datetime) -> float | None:
    """How long a session that begins now may last; None for as long as it takes. deadline_s: of a session."""
    ends: list[Any] = [deadline_s, (deadline - now).total_seconds() if deadline is not None else None]
    known = [end for end in ends if end is not None]
    return max(0.0, min(known)) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """When a session ends before its last cell: its budget is spent, or its time is over."""

    budget: Budget | None
    deadline: datetime | None
    deadline_s: float | None
    begun: datetime

    def reason(self, now: datetime, *, tokens: int, cost: float) -> str | None:
        """Why no further cell may start, as a sentence; None while they may. tokens, cost: of all sessions."""
        spent = self.budget.spent(tokens, cost) if self.budget is not None else None
        if spent is not None:
            return spent
        left = seconds_left(self.deadline, self.deadline_s, self.begun)
        if left is None or (now - self.begun).total_seconds() < left:  # no calendar has all that `left` may be
            return None
        return "its deadline has passed"
