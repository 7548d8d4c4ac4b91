"""The charts of a report, in its order; one that has nothing to show is not there."""

from pipelines.analysis.report.chart import Chart
from pipelines.analysis.report.configuration_charts import distributions, ranking
from pipelines.analysis.report.factor_charts import heat_map, interaction, main_effects
from pipelines.analysis.report.front_chart import pareto
from pipelines.analysis.report.results import Results

MOST_PAIRS = 3  # pairs of parameters that are drawn: those that interact the strongest


def charts_of(results: Results) -> list[Chart]:
    """All charts of a run's results."""
    found = results.findings
    if found is None:
        return []
    charts = [ranking(results)]
    if found.effects:
        charts.append(main_effects(results))
    for first, second in list(found.pairs)[:MOST_PAIRS]:
        charts += [heat_map(results, first, second), interaction(results, first, second)]
    charts += [pareto(results, cost) for cost in found.front.costs]
    return [*charts, distributions(results)]
