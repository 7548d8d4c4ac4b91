"""Statistics in the shapes of seed 003. All figures are `pipelines.analysis`'s; what is not known is null.

Beside a confidence stands what it is a probability of, beside a word its p, beside a null its reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.analysis.frame import Frame

PREFERRED = ("overall", "completeness")  # what quality is where nobody says
MOST_LISTED = 200  # configurations, points or candidates of one answer, the best first
NOTHING = "no cell has been scored yet"
PLAIN = frozenset({str, int, float, bool, type(None)})
WORDS = ((0.001, "high"), (0.01, "medium"), (0.05, "low"))

Shape = Callable[["Frame", str], dict[str, Any]]


def metric_of(frame: "Frame", asked: str | None) -> str:
    """The score that is meant. Raises BadRequest for one that no cell has, while others are there."""
    if asked is not None:
        if frame.metrics:
            frame.values(asked)
        return asked
    return next((name for name in PREFERRED if name in frame.metrics), (*frame.metrics, PREFERRED[0])[0])


def head(frame: "Frame", metric: str) -> dict[str, Any]:
    """What the figures are of."""
    there = bool(frame.metrics)
    return {
        "metric": metric,
        "cells": len(frame),
        "prompts": len(frame.prompts),
        "configurations_count": len(frame.configurations),
        "reason": None if there else NOTHING,
    }


def word(p_adjusted: float | None) -> str | None:
    """A significance as a word: `high` below 0.001, `medium` below 0.01, `low` up to 0.05, else `none`."""
    if p_adjusted is None:
        return None
    return next((name for bound, name in WORDS if p_adjusted <= bound), "none")


def breakdown(frame: "Frame", metric: str) -> dict[str, Any]:
    """Every score at a glance."""
    from pipelines.analysis.breakdown import breakdown as figures

    found = [{**asdict(one), "average_score": one.mean} for one in figures(frame)]
    return {
        "overall": next((one for one in found if one["metric"] == metric), None),
        "metrics": [one for one in found if one["metric"] != metric],
    }


def trends(frame: "Frame", metric: str) -> dict[str, Any]:
    """A point a day, and a direction where a test shows one. improvement_rate: points of 100 a day."""
    from pipelines.analysis.trends import best_period, trend

    if not frame.metrics:
        none = {"overall_direction": "stable", "improvement_rate": None, "best_performing_period": None}
        return {"data_points": [], "trends": {**none, "reason": NOTHING}}
    found = trend(frame, metric, metrics=[name for name in frame.metrics if name != metric])
    period = best_period(found.points)
    return {
        "data_points": [
            {
                "date": point.day.isoformat(),
                "average_quality": point.mean,
                "experiment_count": point.runs,
                "cells": point.cells,
                "metrics": dict(point.metrics),
            }
            for point in found.points
        ],
        "trends": {
            "overall_direction": found.direction,
            "improvement_rate": found.rate,
            "improvement_rate_low": found.low,
            "improvement_rate_high": found.high,
            "improvement_rate_unit": "points a day",
            "best_performing_period": None if period is None else f"{period.start} to {period.end}",
            "p_value": found.p,
            "test": found.test,
            "days": found.days,
            "reason": found.reason,
        },
    }


def models(frame: "Frame", metric: str) -> dict[str, Any]:
    """Each model over the prompts and parameters that all have, and every pair of them tested."""
    import numpy as np

    from pipelines.analysis.comparisons import pairwise
    from pipelines.analysis.figures import known
    from pipelines.analysis.frame import MEASURES
    from pipelines.analysis.levels import levels

    if not frame.metrics:
        return {"models": [], "comparisons": None}
    found = []
    codes = frame.level_codes("model")
    for place, (name, figure) in enumerate(zip(frame.levels("model"), levels(frame, metric, "model"), strict=True)):
        own = [one for one, code in zip(frame.configurations, codes, strict=True) if code == place]
        cells = codes[frame.configuration] == place
        medians = {}
        for measure in MEASURES:
            values = frame.columns[measure][cells]
            values = values[np.isfinite(values)]
            medians[f"median_{measure}"] = known(float(np.median(values))) if len(values) else None
        found.append(
            {
                "model": name,
                "average_quality": figure.mean,
                "low": figure.low,
                "high": figure.high,
                "prompts": figure.prompts,
                "configurations": figure.configurations,
                "matched": figure.matched,
                "reason": figure.reason,
                "cells": sum(one.cells for one in own),
                "errors": sum(one.errors for one in own),
                **medians,
            }
        )
    return {"models": found, "comparisons": asdict(pairwise(frame, metric, by="model"))}


def optimization(frame: "Frame", metric: str) -> dict[str, Any]:
    """What to set each parameter to. confidence: the probability that this value is the best of those tried."""
    from pipelines.analysis.optima import optima

    found = optima(frame, metric) if frame.metrics else []
    return {
        "optimal_parameters": {one.factor: _optimum(one) for one in found},
        "parameter_correlations": correlations(frame, metric)["correlations"],
        "recommendations": [_recommendation(frame, one) for one in found],
    }


def correlations(frame: "Frame", _: str) -> dict[str, Any]:
    """Each numeric parameter with each score, within prompts, corrected together."""
    from pipelines.analysis.correlation import correlations as figures
    from pipelines.analysis.frame import numeric

    factors = [name for name in frame.factors if all(numeric(level) for level in frame.levels(name))]
    found = figures(frame, factors, frame.metrics)
    return {
        "parameters": factors,
        "metrics": list(frame.metrics),
        "correlations": [
            {
                "parameter_1": one.x,
                "parameter_2": f"{one.y}_score",
                "correlation": one.rho,
                "significance": word(one.p_adjusted),
                "low": one.low,
                "high": one.high,
                "p": one.p,
                "p_adjusted": one.p_adjusted,
                "strength": one.strength,
                "prompts": one.prompts,
                "test": one.test,
                "reason": one.reason,
            }
            for one in found
        ],
    }


def insights(frame: "Frame", metric: str) -> dict[str, Any]:
    """Sentences that cite their tests; none, with the reason, where the data allow none."""
    from pipelines.analysis.insights import insights as found_in

    if not frame.metrics:
        return {"insights": [], "refusal": NOTHING}
    told = found_in(frame, metric)
    return {"insights": plain(told.sentences), "refusal": told.refusal}


def analysis(frame: "Frame", metric: str) -> dict[str, Any]:
    """All there is to say of one batch."""
    if not frame.metrics:
        return {"summary": None, "configurations": []}
    from pipelines.analysis.best import best
    from pipelines.analysis.comparisons import pairwise
    from pipelines.analysis.effects import anova
    from pipelines.analysis.intervals import configurations
    from pipelines.analysis.levels import levels
    from pipelines.analysis.pareto import front
    from pipelines.analysis.variance import split

    figures = sorted(configurations(frame, metric), key=lambda one: -(one.mean if one.mean is not None else -1.0))
    effects, told = anova(frame, metric), best(frame, metric)
    points = front(frame, metric)
    return {
        "summary": _summary(frame, metric, figures, told),
        "quality_breakdown": breakdown(frame, metric),
        "configurations": plain(figures[:MOST_LISTED]),
        "parameter_analysis": {
            "effects": [{"name": one.name, **plain(one)} for one in effects.effects],
            **{name: value for name, value in plain(effects).items() if name != "effects"},
            "levels": {factor: plain(levels(frame, metric, factor)) for factor in frame.factors},
        },
        "comparisons": plain(pairwise(frame, metric)),
        "best": {**plain(told), "candidates": plain(told.candidates[:MOST_LISTED])},
        "pareto_front": {
            **{name: value for name, value in plain(points).items() if name != "points"},
            "points": plain([one for one in points.points if one.member or one.membership][:MOST_LISTED]),
        },
        "variance": plain(split(frame, metric)),
        "parameter_correlations": correlations(frame, metric)["correlations"],
        "detectable_effect": _detectable(frame, metric),
    }


def preferred(judges: Sequence[Any]) -> list[dict[str, Any]]:
    """What each judge of pairs says: win rates, and the pairs that are told apart best."""
    told = []
    for one in judges:
        pairs = sorted(one.pairs, key=lambda pair: 2.0 if pair.p_adjusted is None else pair.p_adjusted)
        told.append({**plain(one), "pairs_count": len(pairs), "pairs": plain(pairs[:MOST_LISTED])})
    return told


def plain(value: Any) -> Any:
    """Dataclasses as JSON has them."""
    kind = type(value)
    if kind in PLAIN:  # most of all values, of which there are tens of thousands
        return value
    if kind is list or kind is tuple:
        return [plain(one) for one in value]
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def _summary(frame: "Frame", metric: str, figures: Sequence[Any], told: Any) -> dict[str, Any]:
    whole = breakdown(frame, metric)["overall"] or {}
    settings = {one.id: dict(one.parameters) for one in frame.configurations}
    return {
        "best_quality_score": figures[0].mean if figures else None,
        "average_quality_score": whole.get("mean"),
        "average_low": whole.get("low"),
        "average_high": whole.get("high"),
        # The leader's, with how sure that is: where no winner can be told, none is.
        "optimal_parameters": settings.get(told.winner) if told.winner is not None else None,
        "leading_parameters": settings.get(told.leader) if told.leader is not None else None,
        "verdict": told.verdict,
        "reason": told.reason,
        "failed_cells": sum(one.errors for one in frame.configurations),
    }


def _detectable(frame: "Frame", metric: str) -> dict[str, Any] | None:
    from pipelines.analysis.detectable import smallest_effect
    from pipelines.analysis.variance import split

    sd = split(frame, metric).difference_sd
    count = len(frame.configurations)
    pairs = max(1, count * (count - 1) // 2)
    return None if sd is None else plain(smallest_effect(len(frame.prompts), sd, comparisons=pairs))


def _optimum(one: Any) -> dict[str, Any]:
    return {
        "value": one.value,
        "confidence": one.p_best,
        "quality_impact": None if one.gain_percent is None else f"{one.gain_percent:+.1f}%",
        "impact": one.gain,
        "impact_low": one.low,
        "impact_high": one.high,
        "p_adjusted": one.p_adjusted,
        "significance": word(one.p_adjusted),
        "shown": one.shown,
        "prompts": one.prompts,
        "test": one.test,
        "reason": one.reason,
    }


def _recommendation(frame: "Frame", one: Any) -> dict[str, Any]:
    levels = frame.levels(one.factor)
    current = _range(levels)
    if one.prompts < 2:
        reasoning, kept = "One prompt is no sample: no value can be told from another.", None
    elif len(one.recommended) == len(levels):
        reasoning = (
            f"No other value is distinguishable from {one.value} (n = {one.prompts} prompts, {one.test}, "
            f"adjusted p = {_p(one.p_adjusted)}), so nothing is narrowed."
        )
        kept = current
    else:
        reasoning = (
            f"{one.value} has the highest mean; values outside are worse beyond chance, those inside are not "
            f"distinguishable from it (n = {one.prompts} prompts, {one.test}, adjusted p against the nearest = "
            f"{_p(one.p_adjusted)})."
        )
        kept = _range(sorted(one.recommended) if one.low_end is not None else list(one.recommended))
    return {
        "parameter": one.factor,
        "current_range": current,
        "recommended_range": kept,
        "recommended_values": list(one.recommended),
        "reasoning": reasoning,
    }


def _range(levels: Sequence[Any]) -> str:
    """`0.1-1.0` of numbers in order, else the values."""
    from pipelines.analysis.frame import numeric

    if len(levels) > 1 and all(numeric(level) for level in levels):
        return f"{levels[0]}-{levels[-1]}"
    return ", ".join(str(level) for level in levels)


def _p(p: float | None) -> str:
    return "not known" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
