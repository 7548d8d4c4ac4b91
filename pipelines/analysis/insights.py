"""What a run says, in sentences. Each one carries n, the test, the adjusted p and the interval it rests on.

Nothing is said that was not tested on this run: no sentence knows what temperature "should" do. A test that found
nothing is a sentence too, and so is what is missing. Under five prompts, or with one repeat, nothing is said but
why.
"""

from dataclasses import dataclass

import numpy as np

from pipelines.analysis import comparisons, student
from pipelines.analysis.attrition import Attrition, attrition
from pipelines.analysis.best import Best, best
from pipelines.analysis.correlation import Correlation, correlations
from pipelines.analysis.effects import Anova, Effect, anova
from pipelines.analysis.frame import Frame, numeric
from pipelines.analysis.levels import marginal

LEAST_PROMPTS, LEAST_REPEATS = 5, 2
WINNER, EFFECT, INTERACTION, CORRELATION = "winner", "effect", "interaction", "correlation"
MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """One sentence, and what is in it. factors: it is about these. n: prompts. significant: p_adjusted ≤ alpha.

    estimate, low, high: what `measure` names, with its 95 % interval. p_adjusted: among the sentences of its kind
    that were possible, not only those that are shown.
    """

    kind: str
    text: str
    metric: str
    factors: tuple[str, ...]
    n: int
    test: str
    measure: str
    estimate: float
    low: float
    high: float
    p_adjusted: float
    significant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Insights:
    """sentences: what was found first. refusal: why there are none; None where there are."""

    sentences: tuple[Insight, ...]
    refusal: str | None


def insights(frame: Frame, metric: str, *, alpha: float = 0.05) -> Insights:
    """Sentences on one metric. Raises BadRequest for an unknown metric."""
    if refusal := refused(frame, metric):
        return Insights(sentences=(), refusal=refusal)
    table = anova(frame, metric, alpha=alpha)
    numbers = [factor for factor in frame.factors if all(numeric(level) for level in frame.levels(factor))]
    rhos = correlations(frame, numbers, [metric], alpha=alpha)
    found = [
        _winner(best(frame, metric, alpha=alpha), metric),
        *(_effect(frame, metric, table, effect) for effect in table.effects if len(effect.factors) == 1),
        *(_interaction(metric, table, effect) for effect in table.effects if len(effect.factors) == 2),
        *(_correlation(rho) for rho in rhos if rho.significant),
    ]
    said = [each for each in found if each is not None]
    if lost := attrition(frame, metric, alpha=alpha):
        said.append(_missing(lost, metric))
    if not said:
        few = "too few prompts have a cell at every level"
        reason = few if table.effects else table.reason or "no test could be made"
        return Insights(sentences=(), refusal=f"There is nothing to say of {metric}: {reason}.")
    return Insights(sentences=tuple(sorted(said, key=lambda each: not each.significant)), refusal=None)


def refused(frame: Frame, metric: str) -> str | None:
    """Why no insight is drawn from this frame, or None. Raises BadRequest for an unknown metric."""
    count = frame.blocks(metric).count
    prompts, repeats = int((count.sum(axis=1) > 0).sum()), int(count.max(initial=0))
    if not prompts:
        return f"No insights: no cell has {metric}."
    if prompts < LEAST_PROMPTS:
        counted = "1 prompt" if prompts == 1 else f"{prompts} prompts"
        return (
            f"No insights from {counted}: prompts are the sample, and under {LEAST_PROMPTS} no test says anything. "
            "The figures describe these prompts only."
        )
    if repeats < LEAST_REPEATS:
        return (
            "No insights from 1 repeat: what a configuration changes cannot be told from what chance does. "
            f"Run {LEAST_REPEATS} repeats or more."
        )
    if (count.sum(axis=0) > 0).sum() < 2:
        return "No insights: there is one configuration, and nothing to compare it with."
    return None


def _winner(found: Best, metric: str) -> Insight | None:
    rivals = [each for each in found.candidates if each.p_adjusted is not None and each.behind is not None]
    leader = next((each for each in found.candidates if each.config_id == found.leader), None)
    if leader is None or not rivals or leader.mean is None:
        return None
    nearest = max(rivals, key=lambda each: (each.p_adjusted or 0.0, -(each.behind or 0.0)))
    close = sum((each.p_adjusted or 0.0) > found.alpha for each in rivals)
    behind, low, high, p = (
        float(v or 0.0) for v in (nearest.behind, nearest.low, nearest.high, nearest.p_adjusted)
    )
    carried = _carried(found.prompts, found.test, p, low, high)
    if found.winner is not None:
        text = (
            f"{leader.label} is best in {metric}: {_n(leader.mean)} on average, {_n(behind)} better than its "
            f"nearest rival, {nearest.label} ({carried})."
        )
    else:
        others = "one configuration is" if close == 1 else f"{close} configurations are"
        why = f"{others} not distinguishable from it" if close else found.reason
        text = (
            f"No detectable winner in {metric}: {leader.label} leads with {_n(leader.mean)}, but {why}; "
            f"the closest, {nearest.label}, is {_n(abs(behind))} {'behind' if behind >= 0 else 'ahead'} over the "
            f"prompts that both have ({carried})."
        )
    return Insight(
        kind=WINNER,
        text=text,
        metric=metric,
        factors=(),
        n=found.prompts,
        test=found.test,
        measure="difference between the leader and its nearest rival",
        estimate=behind,
        low=low,
        high=high,
        p_adjusted=p,
        significant=found.winner is not None,
    )


def _effect(frame: Frame, metric: str, table: Anova, effect: Effect) -> Insight | None:
    factor = effect.factors[0]
    levels = marginal(frame, metric, factor)
    means = student.columns_of(levels.matrix).mean
    if effect.p_adjusted is None or not np.isfinite(means).all():
        return None
    top, bottom = int(means.argmax()), int(means.argmin())
    moments = comparisons.paired((levels.matrix[:, top] - levels.matrix[:, bottom])[:, None]).moments
    # The two levels were chosen for being furthest apart: the interval is Bonferroni's over all pairs of levels.
    pairs = max(1, len(means) * (len(means) - 1) // 2)
    apart = float(moments.mean[0])
    half = float(student.half_width(moments, 1 - (1 - student.LEVEL) / pairs)[0])
    if not np.isfinite(half):
        return None
    n = int(moments.n[0])
    over = "" if n == table.prompts else f", {n} of them with both levels"
    carried = _carried(table.prompts, table.test, effect.p_adjusted, apart - half, apart + half, over=over)
    high, low = levels.settings[top][factor], levels.settings[bottom][factor]
    if effect.significant:
        text = (
            f"{metric} depends on {factor}: highest at {high} ({_n(means[top])}), lowest at {low} "
            f"({_n(means[bottom])}), {_n(apart)} apart ({carried})"
            + ("." if apart - half > 0 else "; of these two alone the interval does not exclude 0.")
        )
    else:
        text = (
            f"No effect of {factor} on {metric} was found: its highest level, {high}, and its lowest, {low}, are "
            f"{_n(apart)} apart ({carried})."
        )
    return Insight(
        kind=EFFECT,
        text=text,
        metric=metric,
        factors=effect.factors,
        n=table.prompts,
        test=table.test,
        measure="difference between the highest and the lowest level",
        estimate=apart,
        low=apart - half,
        high=apart + half,
        p_adjusted=effect.p_adjusted,
        significant=effect.significant,
    )


def _interaction(metric: str, table: Anova, effect: Effect) -> Insight | None:
    """Only one that was found: of many pairs of factors, those without are no news."""
    share, low, high = effect.partial_eta_squared, effect.partial_low, effect.partial_high
    if not effect.significant or effect.p_adjusted is None or share is None or low is None or high is None:
        return None
    first, second = effect.factors
    carried = _carried(table.prompts, table.test, effect.p_adjusted, low, high)
    return Insight(
        kind=INTERACTION,
        text=(
            f"What {first} does to {metric} depends on {second}: their interaction's partial eta squared is "
            f"{_n(share)} ({carried})."
        ),
        metric=metric,
        factors=effect.factors,
        n=table.prompts,
        test=table.test,
        measure="partial eta squared",
        estimate=share,
        low=low,
        high=high,
        p_adjusted=effect.p_adjusted,
        significant=True,
    )


def _correlation(rho: Correlation) -> Insight | None:
    if rho.rho is None or rho.p_adjusted is None or rho.low is None or rho.high is None:
        return None
    carried = _carried(rho.prompts, rho.test, rho.p_adjusted, rho.low, rho.high)
    way = "higher" if rho.rho > 0 else "lower"
    return Insight(
        kind=CORRELATION,
        text=(
            f"Within prompts, higher {rho.x} went with {way} {rho.y}: mean Spearman rho {_n(rho.rho)}, "
            f"{'hardly any' if rho.strength == 'none' else rho.strength} correlation ({carried})."
        ),
        metric=rho.y,
        factors=(rho.x,),
        n=rho.prompts,
        test=rho.test,
        measure="mean Spearman rho within prompts",
        estimate=rho.rho,
        low=rho.low,
        high=rho.high,
        p_adjusted=rho.p_adjusted,
        significant=True,
    )


def _missing(lost: Attrition, metric: str) -> Insight:
    """Whoever reads means of what went well must know what did not."""
    carried = _carried(lost.prompts, lost.test, lost.p_adjusted, lost.low, lost.high)
    lacks = f"{_n(lost.share)} % of its cells have no {metric}, {_n(lost.others)} % of the others'"
    if lost.significant:
        text = (
            f"Cells of {lost.label} are missing more often than others: {lacks}, {_n(lost.apart)} points apart "
            f"({carried}). Its figures are of the answers that went well."
        )
    else:
        text = (
            f"{lost.cells} of {lost.asked} cells have no {metric}, those of {lost.label} most often, but not "
            f"detectably so: {lacks}, {_n(lost.apart)} points apart ({carried}). All figures are of the answers "
            "that went well."
        )
    return Insight(
        kind=MISSING,
        text=text,
        metric=metric,
        factors=(),
        n=lost.prompts,
        test=lost.test,
        measure="difference of missing cells, in percentage points",
        estimate=lost.apart,
        low=lost.low,
        high=lost.high,
        p_adjusted=lost.p_adjusted,
        significant=lost.significant,
    )


def _carried(n: int, test: str, p_adjusted: float, low: float, high: float, *, over: str = "") -> str:
    p = "< 0.001" if p_adjusted < 0.001 else f"= {p_adjusted:.3f}"
    return f"95 % interval {_n(low)} to {_n(high)}; n = {n} prompts{over}; {test}; adjusted p {p}"


def _n(value: float) -> str:
    """Three digits, at most two decimals, and no minus before a zero."""
    text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text
