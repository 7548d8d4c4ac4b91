"""The tables of a report. The page, the PDF and the workbook show these same ones."""

from collections.abc import Sequence

from pipelines.analysis.corrections import NAMES
from pipelines.analysis.f_test import flipped
from pipelines.analysis.intervals import configurations
from pipelines.analysis.preferences import Preferences
from pipelines.analysis.report import words
from pipelines.analysis.report.configuration_charts import configuration_sheet, label_of
from pipelines.analysis.report.front_chart import pareto
from pipelines.analysis.report.results import Results
from pipelines.analysis.report.sheet import Sheet

KEPT = 200  # configurations in the table of every metric


def sheets_of(results: Results) -> list[Sheet]:
    """Every table: the summary first; the others where there are findings."""
    judged = [preference_sheet(results)] if results.preferences else []
    if results.findings is None:
        return [summary(results), *judged]
    front = [pareto(results, results.findings.front.costs[0]).sheet] if results.findings.front.costs else []
    return [
        summary(results),
        configuration_sheet(results),
        comparison_sheet(results),
        *judged,
        effect_sheet(results),
        level_sheet(results),
        *front,
        metric_sheet(results),
    ]


def summary(results: Results) -> Sheet:
    """What the run is, and what it says."""
    frame, found = results.frame, results.findings
    rows: list[tuple[str, object]] = [
        ("name", results.name),
        ("run", ", ".join(frame.runs) or "–"),
        ("newest cell (UTC)", results.newest.strftime("%Y-%m-%d %H:%M:%S") if results.newest else "–"),
        ("cells", results.cells),
        ("errors", results.errors),
        ("prompts", len(frame.prompts)),
        ("configurations", len(frame.configurations)),
        ("repeats", frame.repeats),
        ("metric", results.metric),
        ("parameters that vary", ", ".join(frame.factors) or "none"),
        ("verdict", found.best.verdict if found else results.reason),
    ]
    if found is not None:
        rows += [("why", found.best.reason)] if found.best.reason else []
        rows += [(f"insight {place}", one.text) for place, one in enumerate(found.insights.sentences, start=1)]
        rows += [("insights", found.insights.refusal)] if found.insights.refusal else []
    return Sheet(name="summary", caption="What the run is", columns=("name", "note"), rows=rows)


def comparison_sheet(results: Results) -> Sheet:
    """Pairs of configurations, prompt by prompt."""
    assert results.findings is not None
    found = results.findings.comparisons
    listed = f", those with {label_of(results, found.against)}" if found.against else ""
    labels = {one.id: label_of(results, one.id) for one in results.frame.configurations}
    caption = (
        f"Difference in {results.metric}, first minus second, over the prompts of both, with its 95 % "
        f"interval{listed}. "
        f"{found.family} pairs were tested, p is adjusted by {NAMES[found.correction]}, and {found.findings} "
        f"differ at {found.alpha:g}. {friedman_sentence(results)}"
    )
    columns = (
        "first",
        "second",
        "prompts",
        "difference",
        "low",
        "high",
        "p",
        "adjusted p",
        "g",
        "test",
        "significant",
    )
    rows = [
        (
            labels.get(one.first, one.first),
            labels.get(one.second, one.second),
            one.prompts,
            one.difference,
            one.low,
            one.high,
            one.p,
            one.p_adjusted,
            one.effect,
            one.test,
            one.significant,
        )
        for one in sorted(found.pairs, key=lambda one: one.p_adjusted if one.p_adjusted is not None else 2.0)
    ]
    return Sheet(name="comparisons", caption=found.reason or caption, columns=columns, rows=rows)


def friedman_sentence(results: Results) -> str:
    """Whether any configurations differ at all."""
    assert results.findings is not None
    found = results.findings.friedman
    if found.p is None:
        return f"Whether any differ at all was not tested: {found.reason}."
    about = f"of {found.configurations} configurations over {found.prompts} prompts that all of them answered"
    p = words.p_value(found.p)
    return f"Whether any differ at all: {found.test} {about}, p {p if p.startswith('<') else f'= {p}'}."


def preference_sheet(results: Results) -> Sheet:
    """Pairs of configurations before the judges."""
    judges = "; ".join(judge_sentence(one) for one in results.preferences)
    columns = (
        "first",
        "second",
        "prompts",
        "win rate",
        "low",
        "high",
        "adjusted p",
        "significant",
        "wins",
        "losses",
        "ties",
        "swayed",
        "broken",
        "p",
        "test",
        "judge",
    )
    rows = [
        (
            label_of(results, one.first),
            label_of(results, one.second),
            one.prompts,
            one.win_rate,
            one.low,
            one.high,
            one.p_adjusted,
            one.significant,
            one.wins,
            one.losses,
            one.ties,
            one.swayed,
            one.broken,
            one.p,
            one.test,
            judged.judge,
        )
        for judged in results.preferences
        for one in sorted(judged.pairs, key=lambda one: one.p_adjusted if one.p_adjusted is not None else 2.0)
    ]
    caption = (
        "How often first wins over second before a judge, ties half, in % over prompts, with its 95 % interval. "
        "Each pair was shown in both orders; a winner that changed with the order is a tie, and counted as swayed. "
        f"{judges}."
    )
    return Sheet(name="preferences", caption=caption, columns=columns, rows=rows)


def judge_sentence(judged: Preferences) -> str:
    """Who judged, and how steadily."""
    tested = (
        f"{judged.family} pairs were tested, p is adjusted by {NAMES[judged.correction]}, {judged.findings} differ"
    )
    swayed = "none of its verdicts can be read" if judged.swayed is None else f"{100 * judged.swayed:.0f} % swayed"
    broken = f", {100 * judged.broken:.0f} % broken" if judged.broken else ""
    told = f"{judged.judge} ({judged.version}, told {judged.prompt_hash}, asked {2 * judged.repeats} times a pair)"
    return f"{told}: {swayed}{broken}; {tested}"


def effect_sheet(results: Results) -> Sheet:
    """The analysis of variance."""
    assert results.findings is not None
    found = results.findings.anova
    epsilon = "" if flipped(found.prompts) else ", freedom corrected by epsilon"
    caption = (
        f"{found.test[:1].upper()}{found.test[1:]}{epsilon}, n = {found.prompts} prompts, by {found.method}; "
        f"p adjusted by {NAMES[found.correction]}. η² is the share of all variation, ω² its estimate without bias."
    )
    return Sheet(
        name="effects",
        caption=caption if found.effects else found.reason or "no effects",
        columns=("effect", "df", "error df", "F", "p", "adjusted p", "η²", "ω²", "significant"),
        rows=[
            (
                one.name,
                one.freedom,
                one.error_freedom,
                one.f,
                one.p,
                one.p_adjusted,
                one.eta_squared,
                one.omega_squared,
                one.significant,
            )
            for one in found.effects
        ],
    )


def level_sheet(results: Results) -> Sheet:
    """The metric at each value of each parameter."""
    assert results.findings is not None
    return Sheet(
        name="parameters",
        caption=f"Mean {results.metric} by parameter value, with its 95 % interval over prompts",
        columns=("parameter", "value", "prompts", "configurations", "mean", "low", "high"),
        rows=[
            (name, words.level(one.settings[name]), one.prompts, one.configurations, one.mean, one.low, one.high)
            for name, found in results.findings.effects.items()
            for one in found
        ],
    )


def metric_sheet(results: Results) -> Sheet:
    """Every metric's mean by configuration."""
    names = list(results.frame.metrics)
    means: Sequence[Sequence[float | None]] = [
        [one.mean for one in configurations(results.frame, name)] for name in names
    ]
    rows = [
        (label_of(results, one.id), *(column[place] for column in means))
        for place, one in enumerate(results.frame.configurations[:KEPT])
    ]
    return Sheet(
        name="metrics",
        caption="Mean over prompts of every metric, 0 to 100, by configuration",
        columns=("configuration", *names),
        rows=rows,
    )


def variance_sentence(results: Results) -> str:
    """Where the variation comes from, in words."""
    assert results.findings is not None
    found = results.findings.split
    shares = {
        "prompts": found.prompts_share,
        "configurations": found.configurations_share,
        "prompts and configurations together": found.interaction_share,
        "repeats": found.repeats_share,
    }
    said = [f"{name} {100 * share:.0f} %" for name, share in shares.items() if share is not None]
    if not said:
        return f"The variation is not split: {found.reason}."
    more = f" ({found.reason})" if found.reason else ""
    return f"Where a cell's {results.metric} differs, it is by: {', '.join(said)}{more}."


def method_notes(results: Results) -> list[str]:
    """How the figures were made."""
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    notes = [
        "A prompt is one sample: repeats are averaged within it, and every interval and test is over prompts.",
        "Greedy anchor cells are in the exports, and in no statistic.",
        "Scores are of 0 to 100 and rate form, not truth; creativity and specificity are proxies.",
    ]
    return notes + ([f"Metric versions: {versions}."] if versions else [])
