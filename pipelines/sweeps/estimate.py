"""What a plan will take, told before it runs: tokens, time, money, and what its statistics will be able to see.

Pure. Guesses are marked as such: tokens of prompts are counted from their bytes, answers at most, time at the speed
that a stored run of the same models had.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.sweeps.budget import Price
from pipelines.sweeps.plan import Plan

if TYPE_CHECKING:
    import pyarrow as pa

BYTES_PER_TOKEN = 3.5  # of prompts: between small vocabularies (2 to 3) and large ones (4 and more)
TEMPLATE_TOKENS = 8  # a chat template's marks around one message
PACE_COLUMNS = ("model", "started", "latency_ms", "completion_tokens", "error_code")
FEW = 10  # cells from which no speed is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast models answered. cells_per_s, tokens_per_s: of answers, of all models together."""

    cells_per_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a plan will take. None is what nobody knows.

    prompt_tokens: guessed, without passages of retrieval. answer_tokens: at most. seconds: at the pace of a stored
    run. cost_usd: at most, of the models whose price the spec names. smallest_effect: the smallest difference of
    two configurations that the paired test finds with 80 % power, in standard deviations of the prompts'
    differences; `effect_note` says why there is none.
    """

    cells: int
    prompts: int
    configurations: int
    anchors: int
    prompt_tokens: int
    answer_tokens: int | None
    seconds: float | None
    cost_usd: float | None
    smallest_effect: float | None
    effect_note: str | None
    notes: tuple[str, ...]


def estimate(plan: Plan, pace: Pace | None = None) -> Estimate:
    """What a plan will take. pace: of a stored run of the same models."""
    spec = plan.spec
    each = sum(_tokens(prompt.text) + _tokens(prompt.system or "") + TEMPLATE_TOKENS for prompt in spec.prompts)
    per_prompt = plan.total // len(spec.prompts) if spec.prompts else 0
    prompt_tokens = each * per_prompt
    effect, why = _smallest_effect(plan)
    return Estimate(
        cells=plan.total,
        prompts=len(spec.prompts),
        configurations=plan.configurations * len(spec.models),
        anchors=plan.anchors,
        prompt_tokens=prompt_tokens,
        answer_tokens=plan.max_tokens,
        seconds=_seconds(plan, pace),
        cost_usd=_cost(plan, prompt_tokens, spec.prices),
        smallest_effect=effect,
        effect_note=why,
        notes=plan.notes(),
    )


def pace_of(rows: "pa.Table") -> Pace | None:
    """How fast a stored run went, from its PACE_COLUMNS; None where too few cells went well.

    A run in several sessions counts its pauses out: a gap in which no cell was in flight takes no time.
    """
    good = [row for row in rows.to_pylist() if row["error_code"] is None and row["latency_ms"] is not None]
    if len(good) < FEW:
        return None
    spans = sorted(
        (row["started"].timestamp(), row["started"].timestamp() + row["latency_ms"] / 1000) for row in good
    )
    busy, until = 0.0, spans[0][0]
    for begin, end in spans:
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    if busy <= 0:
        return None
    tokens = sum(row["completion_tokens"] or 0 for row in good)
    return Pace(cells_per_s=len(good) / busy, tokens_per_s=tokens / busy)


def _tokens(text: str) -> int:
    return round(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def _seconds(plan: Plan, pace: Pace | None) -> float | None:
    if pace is None:
        return None
    if plan.max_tokens is None or pace.tokens_per_s <= 0:
        return plan.total / pace.cells_per_s
    # Answers end before their limit, and a run of shorter limits says too little: the smaller figure is the nearer.
    return min(plan.max_tokens / pace.tokens_per_s, max(plan.total / pace.cells_per_s, 0.0))


def _cost(plan: Plan, prompt_tokens: int, prices: Mapping[str, Price] | None) -> float | None:
    priced = [prices[model] for model in plan.spec.models if model in (prices or {})] if prices else []
    if not priced or plan.max_tokens is None:
        return None
    models = len(plan.spec.models)
    return sum(price.of(prompt_tokens // models, plan.max_tokens // models) for price in priced)


def _smallest_effect(plan: Plan) -> tuple[float | None, str | None]:
    configurations = plan.configurations * len(plan.spec.models)
    if configurations < 2:
        return None, "one configuration: there is nothing to compare"
    from pipelines.analysis.detectable import smallest_effect

    pairs: Any = configurations * (configurations - 1) // 2
    found = smallest_effect(len(plan.spec.prompts), 1.0, comparisons=pairs)
    return found.standardised, found.reason
