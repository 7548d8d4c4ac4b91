"""The cells of a single experiment: its ranges, read as a sweep of one model and one prompt."""

from collections.abc import Mapping
from typing import Any

from cluster.errors import BadRequest, PlanTooLarge
from pipelines.sweeps.plan import Plan
from pipelines.sweeps.spec import SweepSpec, read_spec

MOST_CELLS = 10_000  # of one generation: more is a batch's, whose rows are in Parquet and not in the database
MOST_CHARACTERS = 200_000_000  # of prompts: each row holds its own, in the database and while it is scored
RANGED = ("temperature", "top_p")


def spec_of(values: Mapping[str, Any], model: str, *, seeds: bool = True) -> SweepSpec:
    """The sweep of an experiment's columns. Raises BadRequest naming the column."""
    parameters: dict[str, Any] = {}
    for name in RANGED:
        least, most, step = (values[f"{name}_{part}"] for part in ("min", "max", "step"))
        if least > most:
            raise BadRequest(
                f"{name}_min ({least:g}) is above {name}_max ({most:g})",
                hint="both ends are part of the range",
                param=f"{name}_min",
            )
        parameters[name] = {"min": least, "max": most, "step": step}
    if values["max_tokens"] is not None:
        parameters["max_tokens"] = values["max_tokens"]
    return read_spec(
        {
            "name": values["name"],
            "models": [model],
            "prompts": [values["prompt"]],
            "parameters": parameters,
            "repeats": values["response_count"],
            "seeds": seeds,
        }
    )


def combinations_of(values: Mapping[str, Any]) -> int:
    """How many cells one generation has. Raises BadRequest, PlanTooLarge."""
    # A long prompt is read nowhere here: a list of experiments counts two hundred of them.
    total = Plan(spec=spec_of({**values, "name": "any", "prompt": "any"}, "any")).total
    if total > MOST_CELLS:
        shown = f"{total:,}" if total < 10**15 else "more than 10^15"
        raise PlanTooLarge(
            f"The experiment has {shown} cells, over the limit of {MOST_CELLS:,}",
            hint="coarser steps, a lower response_count, or POST /api/experiments/batch",
        )
    if total * len(values["prompt"]) > MOST_CHARACTERS:
        raise PlanTooLarge(
            f"The experiment's {total:,} cells together hold over {MOST_CHARACTERS:,} characters of its prompt",
            hint="fewer cells, or POST /api/experiments/batch",
            param="prompt",
        )
    return total
