"""Batch experiments as the routes show them. A figure that is not known yet is null."""

import json
from typing import Any

from cluster.stores.experiments import RUNNING, Experiment
from deployments.gateway.lab.moments import moment

TOLD = frozenset({"name", "description", "models", "prompts", "parameters", "repeats", "seeds"})
"""The keys of a spec that an experiment shows by names of their own."""


def status(experiment: Experiment) -> dict[str, Any]:
    """How far it is, as `/status` answers it."""
    return {
        "id": experiment.id,
        "status": experiment.status,
        "progress": experiment.progress,
        "completed_combinations": experiment.completed_combinations,
        "failed_combinations": experiment.failed_combinations,
        "total_combinations": experiment.total_combinations,
        "current_parameters": experiment.current_parameters if experiment.status == RUNNING else None,
        "estimated_completion": moment(experiment.estimated_completion),
        "results_preview": experiment.results_summary,
        "error_message": experiment.error_message,
    }


def whole(experiment: Experiment) -> dict[str, Any]:
    """An experiment as its routes answer it."""
    spec = json.loads(experiment.spec)
    prompts = [prompt["text"] for prompt in spec["prompts"]]
    return {
        "id": experiment.id,
        "name": experiment.name,
        "description": experiment.description,
        "prompt": prompts[0] if len(prompts) == 1 else None,
        "prompts": prompts,
        "model": spec["models"][0] if len(spec["models"]) == 1 else None,
        "models": spec["models"],
        "parameter_ranges": spec["parameters"],
        "response_count": spec["repeats"],
        "seeds": spec["seeds"],
        "options": {name: value for name, value in spec.items() if name not in TOLD},
        "run_id": experiment.run_id,
        "experiment_type": "batch",
        "tags": list(experiment.tags),
        "favorited": experiment.favorited,
        "archived": experiment.archived,
        **status(experiment),
        "started_at": moment(experiment.started_at),
        "completed_at": moment(experiment.completed_at),
        "created_at": moment(experiment.created_at),
        "updated_at": moment(experiment.updated_at),
    }
