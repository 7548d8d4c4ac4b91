"""A model's places follow the replicas that really run, not those that its settings allow."""

from functools import partial

from cluster.catalog import deployment_name
from cluster.serve_replicas import RUNNING, ReplicaChange, ReplicaCounts
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings
from deployments.gateway.limits.gate import Gate, places_of


class Places:
    """Resizes the queues of a gate while replicas come and go."""

    def __init__(self, settings: Settings, gate: Gate, *, counts: ReplicaCounts = RUNNING) -> None:
        self._settings = settings
        self._gate = gate
        self._counts = counts
        for model in settings.chat_models:
            counts.follow(deployment_name(model.id), partial(self._changed, model))

    def running(self, model: str) -> int | None:
        """How many replicas of a model run; None where nobody knows yet."""
        return self._counts.of(deployment_name(model))

    def _changed(self, model: ModelSettings, change: ReplicaChange) -> None:
        self._gate.queue(model.id).resize(*places_of(model, self._settings, change.count))
