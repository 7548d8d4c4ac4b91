"""The whole graph on one screen: the only module that binds deployments to each other.

client → Gateway ─┬→ a deployment for each chat model
                  ├→ Embedder
                  └→ Retriever ─┬→ Embedder
                                ├→ VectorStore (one owner)
                                └→ the chat models
"""

from typing import Any

from ray import serve
from ray.serve import Application

from cluster.catalog import deployment_name
from cluster.config import resolve
from cluster.settings import ModelSettings, Settings
from deployments.clients import RETRY_AFTER_S
from deployments.fleet.replica import ModelReplica
from deployments.gateway.deployment import Gateway
from deployments.retrieval.embedder import Embedder
from deployments.retrieval.retriever import Retriever
from deployments.retrieval.vectors import VectorStore

# A wedged replica is noticed within seconds (3 failures of 2 s); Serve's defaults take minutes.
HEALTH = {"health_check_period_s": 1.0, "health_check_timeout_s": 2.0}
DRAIN = {"graceful_shutdown_timeout_s": 5.0, "graceful_shutdown_wait_loop_s": 0.2}
BACKPRESSURE = {"status_code": 429, "retry_after_s": RETRY_AFTER_S}


def build(settings: Settings) -> Application:
    """The application of a config file; Serve makes `settings` of its `args`, and the environment wins."""
    settings = resolve(settings.model_dump(mode="json"))
    models = {model.id: _model(model, settings) for model in settings.chat_models}
    embedder = retriever = None
    if settings.embedding_models:
        embedder = _embedder(settings.embedding_models[0], settings)
        retriever = _retriever(settings, embedder, models)
    gateway = serve.deployment(
        serve.ingress()(Gateway),
        name="Gateway",
        num_replicas=settings.gateway.replicas,
        max_ongoing_requests=settings.gateway.max_ongoing,
        ray_actor_options={"num_cpus": settings.gateway.cpus},
        **HEALTH,
        **DRAIN,
    )
    return gateway.bind(settings, models, embedder, retriever)


def _model(model: ModelSettings, settings: Settings) -> Application:
    replicas = model.replicas
    scale: dict[str, Any] = {"num_replicas": replicas.max}
    if replicas.min < replicas.max:
        scale = {
            "autoscaling_config": {
                "min_replicas": replicas.min,
                "max_replicas": replicas.max,
                "target_ongoing_requests": replicas.target_ongoing,
            }
        }
    deployment = serve.deployment(
        ModelReplica,
        name=deployment_name(model.id),
        max_ongoing_requests=replicas.max_ongoing,
        max_queued_requests=replicas.max_queued,
        backpressure_config=BACKPRESSURE,
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": settings.gpus_of(model)},
        max_surge_percent=100 if settings.gpus_of(model) == 0 else 0,  # a GPU can't hold old and new at once
        **scale,
        **HEALTH,
        **DRAIN,
    )
    return deployment.bind(model, settings)


def _embedder(model: ModelSettings, settings: Settings) -> Application:
    replicas = model.replicas
    deployment = serve.deployment(
        Embedder,
        name="Embedder",
        num_replicas=replicas.max,
        max_ongoing_requests=replicas.max_ongoing,
        max_queued_requests=replicas.max_queued,
        backpressure_config=BACKPRESSURE,
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": settings.gpus_of(model)},
        **HEALTH,
        **DRAIN,
    )
    return deployment.bind(model, settings)


def _retriever(settings: Settings, embedder: Application, models: dict[str, Application]) -> Application:
    vectors = serve.deployment(
        VectorStore,
        name="VectorStore",
        num_replicas=1,  # an embedded Chroma has one owner
        max_ongoing_requests=64,
        ray_actor_options={"num_cpus": settings.stores.vectors.cpus},
        **HEALTH,
        **DRAIN,
    )
    retriever = serve.deployment(
        Retriever,
        name="Retriever",
        max_ongoing_requests=64,
        ray_actor_options={"num_cpus": 0.1},  # it waits on others
        **HEALTH,
        **DRAIN,
    )
    return retriever.bind(settings, embedder, vectors.bind(settings), models)
