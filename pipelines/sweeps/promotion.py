"""Which of a sweep's configurations its model is to generate with, and which parameters are defaults. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cluster.errors import BadRequest, Conflict
from cluster.stores.promotions import Promotion
from pipelines.analysis.best import best
from pipelines.analysis.frame import Configuration, Frame, frame_of
from pipelines.analysis.intervals import ConfigurationFigure, configurations
from pipelines.analysis.report.results import PREFERRED

if TYPE_CHECKING:
    import pyarrow as pa

PROMOTED = frozenset(
    {
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "chat_template_kwargs",
    }
)
"""How a model is prompted and draws its tokens: what a default may say."""

LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
"""How long an answer may be is each request's own: a default would cut what others ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What is to be promoted. left_out: parameters of the configuration that are no defaults.

    figure: its mean with the interval, None where nothing was scored.
    """

    promotion: Promotion
    label: str
    left_out: Mapping[str, Any]
    figure: ConfigurationFigure | None


def choose(
    rows: "pa.Table",
    *,
    run_id: str,
    run_name: str,
    moment: datetime,
    model: str | None = None,
    configuration: str | None = None,
    metric: str | None = None,
) -> Chosen:
    """The winner of a run's rows (columns: frame.COLUMNS), or the configuration that somebody names.

    model: only its configurations count. configuration: the beginning of an id. metric: `overall` where it was
    computed, else completeness. Raises Conflict where there is no detectable winner and none is named, and
    BadRequest for names that the run does not have, and for a configuration that defaults cannot say.
    """
    frame = frame_of(rows if model is None else _of_model(rows, model))
    chosen = metric or next((name for name in (*PREFERRED, *frame.metrics) if name in frame.metrics), None)
    found = best(frame, chosen) if chosen is not None else None
    if configuration is not None:
        this = _named(frame, configuration)
    elif found is None:
        raise Conflict(f"Nothing of the sweep {run_id} has been scored", hint="--configuration ID names one")
    elif found.winner is None:
        leader = next((one for one in frame.configurations if one.id == found.leader), None)
        hint = f"--configuration {leader.id} promotes the leader all the same: {leader.label}" if leader else None
        raise Conflict(f"The sweep {run_id} has no detectable winner: {found.reason}", hint=hint)
    else:
        this = next(one for one in frame.configurations if one.id == found.winner)
    parameters = _defaults(this)
    figures = configurations(frame, chosen) if chosen is not None else []
    p_best = next((one.p_best for one in found.candidates if one.config_id == this.id), None) if found else None
    return Chosen(
        promotion=Promotion(
            model=this.model,
            parameters=parameters,
            run_id=run_id,
            run_name=run_name,
            config_id=this.id,
            metric=chosen,
            p_best=p_best,
            winner=found is not None and found.winner == this.id,
            promoted_at=moment,
        ),
        label=this.label,
        left_out={name: value for name, value in this.parameters.items() if name in LIMITS},
        figure=next((one for one in figures if one.config_id == this.id), None),
    )


def said(parameters: Mapping[str, Any]) -> str:
    """Parameters to read: `temperature=0.2, top_p=0.9`."""
    return ", ".join(f"{name}={value}" for name, value in parameters.items())


def _of_model(rows: "pa.Table", model: str) -> "pa.Table":
    import pyarrow.compute as pc

    models = [str(name) for name in pc.unique(rows.column("model")).to_pylist()]
    if model not in models:
        raise BadRequest(f"The sweep has no cells of {model!r}", hint=f"it has {', '.join(models)}", param="model")
    return rows.filter(pc.field("model") == model)


def _named(frame: Frame, configuration: str) -> Configuration:
    found = [one for one in frame.configurations if one.id.startswith(configuration)] if configuration else []
    exact = [one for one in found if one.id == configuration]
    if not found:
        hint = "heliostat sweep export ID cells.csv has them in its column config_id"
        raise BadRequest(f"No configuration's id begins with {configuration!r}", hint=hint, param="configuration")
    if len(found) > 1 and not exact:
        names = ", ".join(one.id for one in found[:5])
        raise BadRequest(
            f"{configuration!r} is the beginning of several configurations: {names}", param="configuration"
        )
    this = (exact or found)[0]
    if this.cells == this.errors:
        raise BadRequest(f"All cells of {this.label} failed", hint="sweep retry-failed", param="configuration")
    return this


def _defaults(configuration: Configuration) -> dict[str, Any]:
    """Those of its parameters that are promoted. Raises BadRequest where the rest cannot be left out."""
    label = configuration.label
    if configuration.retrieval is not None:
        raise BadRequest(f"{label} was answered from passages, which a model's defaults do not bring")
    strange = [name for name in configuration.parameters if name not in PROMOTED | LIMITS]
    if strange:
        raise BadRequest(
            f"{label}: {strange[0]} is each request's own and no default, and without it nothing was measured",
            hint=f"defaults hold {', '.join(sorted(PROMOTED))}",
            param=strange[0],
        )
    found = {name: value for name, value in configuration.parameters.items() if name in PROMOTED}
    if not found:
        raise BadRequest(f"{label} says nothing that a default holds", hint=f"one of {', '.join(sorted(PROMOTED))}")
    return found
