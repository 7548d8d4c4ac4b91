"""Which models may be asked for although they are not loaded."""

from collections.abc import Mapping
from functools import partial
from threading import Thread

from cluster.catalog import GIB, deployment_name
from cluster.library.library import Library
from cluster.serve_replicas import RUNNING, ReplicaCounts
from cluster.settings.models import ModelSettings
from cluster.settings.tree import Settings
from cluster.types import ModelCard, Task
from deployments.clients import ChatModel, Fleet
from deployments.gateway.limits.gate import Gate
from deployments.gateway.models.claims import Claims, Connection
from deployments.gateway.models.on_demand import Available, unloaded
from deployments.handles import ChatModelClient


def available(
    always: Mapping[str, ChatModel], fleet: Fleet, settings: Settings, *, gate: Gate | None = None
) -> Available:
    """All models of a gateway: those that are always there, and those that the fleet loads.

    gate: which knows how many requests those have that are always there; None is not known.
    """
    limits, fixed = settings.fleet, tuple(model.id for model in settings.started_models)
    claims = Claims(
        fleet,
        connect,
        linger_s=limits.linger_s,
        wait_s=limits.wait_s,
        keep_alive_s=limits.keep_alive_s,
        counted=lambda: {} if gate is None else {name: gate.queue(name).running for name in fixed},
    )
    models = Available(always, claims, lambda: loadable(settings), asleep=partial(asleep, settings))
    Thread(target=models.look, daemon=True).start()  # the first look imports the Hub's library: seconds
    return models


def connect(application: str) -> Connection:
    """A client of a model's application."""
    from ray import serve

    return ChatModelClient(serve.get_app_handle(application))


def asleep(settings: Settings, name: str, *, counts: ReplicaCounts = RUNNING) -> ModelCard | None:
    """The card of a model that has no replica until somebody asks it something; None where it has one."""
    for model in settings.started_models:
        if model.id == name and model.replicas.min == 0 and not counts.of(deployment_name(name)):
            return described(model)
    return None


def described(model: ModelSettings, task: Task = Task.CHAT) -> ModelCard:
    """What the settings say of a model."""
    return unloaded(
        model.id,
        task=task,
        engine=model.engine.kind,
        context_length=model.context_length or 0,
        images=False,
        memory_gib=model.memory,
    )


def loadable(settings: Settings) -> Mapping[str, ModelCard]:
    """The cards of what may be loaded, by each of its names. Reads the disk: some milliseconds."""
    found: dict[str, ModelCard] = {}
    if settings.fleet.on_demand:
        for entry in Library(settings.hub).entries():
            if not entry.loadable:
                continue
            card = unloaded(
                entry.id,
                engine=entry.kind,
                context_length=entry.context_length or 0,
                images="vision" in entry.capabilities,
                memory_gib=entry.memory / GIB if entry.memory else None,
            )
            found |= dict.fromkeys(entry.names, card)
    for model in settings.chat_models:
        if model.load == "on_demand":
            found[model.id] = described(model)
    return found
