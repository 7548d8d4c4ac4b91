"""Single experiments and their answers as the routes show them: the columns of seed 003, and some more."""

from typing import Any

from cluster.stores.lab_experiments import RUNNING, LabExperiment
from cluster.stores.lab_responses import LabResponse
from deployments.gateway.lab.moments import moment

WRITTEN = (
    "name",
    "description",
    "prompt",
    "temperature_min",
    "temperature_max",
    "temperature_step",
    "top_p_min",
    "top_p_max",
    "top_p_step",
    "max_tokens",
    "response_count",
    "favorited",
    "archived",
)
"""The columns that an experiment's owner writes, without its tags."""


def experiment(found: LabExperiment, *, combinations: int) -> dict[str, Any]:
    """An experiment. combinations: cells of one generation."""
    return {
        "id": found.id,
        **{name: getattr(found, name) for name in WRITTEN},
        "tags": list(found.tags),
        "experiment_type": "single",
        "status": found.status,
        "model": found.model,
        "total_combinations": combinations,
        "progress": found.progress,
        "error_message": found.error_message,
        "created_at": moment(found.created_at),
        "updated_at": moment(found.updated_at),
    }


def standing(found: LabExperiment) -> dict[str, Any]:
    """How far its last generation is, with the names of a batch's status."""
    return {
        "id": found.id,
        "status": found.status,
        "model": found.model,
        "progress": found.progress,
        "completed_combinations": found.completed,
        "failed_combinations": found.failed,
        "total_combinations": found.total,
        "current_parameters": found.current_parameters if found.status == RUNNING else None,
        "error_message": found.error_message,
        "started_at": moment(found.started_at),
        "completed_at": moment(found.completed_at),
    }


def response(found: LabResponse) -> dict[str, Any]:
    """An answer. response_time: milliseconds. A parameter that was not sent is null; penalties are never sent."""
    counts = (found.prompt_tokens, found.completion_tokens)
    return {
        "id": found.id,
        "experiment_id": found.experiment_id,
        "batch_experiment_id": None,
        "content": found.content,
        "temperature": found.temperature,
        "top_p": found.top_p,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "max_tokens": found.max_tokens,
        "model": found.model,
        "prompt_tokens": found.prompt_tokens,
        "completion_tokens": found.completion_tokens,
        "total_tokens": None if None in counts else sum(count or 0 for count in counts),
        "response_time": found.response_time,
        "cost": found.cost,
        "repeat": found.repeat,
        "seed": found.row.get("seed"),
        "finish_reason": found.finish_reason,
        "error_code": found.error_code,
        "error_message": found.error_message,
        "created_at": moment(found.created_at),
    }
