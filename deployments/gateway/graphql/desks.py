"""What does the work of GraphQL's fields: the desks that serve the REST routes, and no others."""

from dataclasses import dataclass

from sqlalchemy import Engine

from cluster.settings.tree import Settings
from cluster.stores.experiments import Experiments as ExperimentStore
from deployments.clients import Backends
from deployments.gateway.auth.directory import Directory
from deployments.gateway.chats import Chats
from deployments.gateway.conversations.desk import Desk as Conversations
from deployments.gateway.lab.batch_desk import Desk as Experiments
from deployments.gateway.lab.jobs import Jobs, RayJobs
from deployments.gateway.model_records.book import Book
from deployments.gateway.openai.batches import Desk as Batches
from deployments.gateway.openai.model_list import ModelList


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """One gateway's. directory: None where authentication is off. book: None where nobody counts requests."""

    backends: Backends
    settings: Settings
    chats: Chats
    models: ModelList
    conversations: Conversations
    experiments: Experiments
    batches: Batches
    directory: Directory | None
    book: Book | None


def open_desks(
    backends: Backends,
    settings: Settings,
    chats: Chats,
    engine: Engine,
    directory: Directory | None,
    *,
    book: Book | None = None,
    jobs: Jobs | None = None,
) -> Desks:
    """The desks of a gateway, for its REST routes and for GraphQL. jobs: Ray's, unless a test brings others."""
    jobs = jobs or RayJobs(settings.home_path)
    return Desks(
        backends=backends,
        settings=settings,
        chats=chats,
        models=ModelList(settings, backends, chats),
        conversations=Conversations(backends, settings, chats, engine),
        experiments=Experiments(settings, backends.models, ExperimentStore(engine), jobs),
        batches=Batches(engine, settings, jobs),
        directory=directory,
        book=book,
    )
