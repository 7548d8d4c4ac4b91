"""Which models may be asked for although they are not loaded."""

from collections.abc import Mapping
from threading import Thread

from cluster.library.library import Library
from cluster.settings.tree import Settings
from cluster.types import ModelCard
from deployments.clients import ChatModel, ChatModelClient, Fleet
from deployments.gateway.models.claims import Claims, Connection
from deployments.gateway.models.on_demand import Available, unloaded

GIB = 1024**3
CHATS = ("chat", "vision")  # the tasks of models that answer chats


def available(always: Mapping[str, ChatModel], fleet: Fleet, settings: Settings) -> Available:
    """All models of a gateway: those that are always there, and those that the fleet loads."""
    claims = Claims(fleet, connect, linger_s=settings.fleet.linger_s)
    models = Available(always, claims, lambda: loadable(settings))
    Thread(target=models.look, daemon=True).start()  # the first look imports the Hub's library: seconds
    return models


def connect(application: str) -> Connection:
    """A client of a model's application."""
    from ray import serve

    return ChatModelClient(serve.get_app_handle(application))


def loadable(settings: Settings) -> Mapping[str, ModelCard]:
    """The cards of what may be loaded, by each of its names. Reads the disk: some milliseconds."""
    found: dict[str, ModelCard] = {}
    if settings.fleet.on_demand:
        for entry in Library(settings.hub).entries():
            if not entry.on_disk or entry.problem or entry.task not in CHATS:
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
            found[model.id] = unloaded(
                model.id,
                engine=model.engine.kind,
                context_length=model.context_length or 0,
                images=False,
                memory_gib=model.memory,
            )
    return found
