"""The whole graph on one screen: the only module that binds deployments to each other.

client → Gateway ─┬→ a deployment for each chat model that is always there
                  ├→ Fleet ──→ an application for each model that comes and goes
                  ├→ Embedder
                  ├→ a Reranker for each cross-encoder
                  └→ Retriever ─┬→ Embedder
                                └→ VectorStore (one owner)
"""

from typing import Any

from ray import serve
from ray.serve import Application, Deployment
from ray.serve.config import RequestRouterConfig

from cluster.catalog import deployment_name
from cluster.config import resolve
from cluster.serve_errors import RETRY_AFTER_S
from cluster.settings.models import ModelSettings
from cluster.settings.tree import WAITING_CPUS, Settings
from deployments.fleet.fleet import Fleet
from deployments.fleet.replica import ModelReplica
from deployments.fleet.scaling import autoscaling
from deployments.gateway.limits.gate import places_of

ALWAYS: dict[str, Any] = {
    # A wedged replica is noticed within seconds (3 failures of 2 s); Serve's defaults take minutes.
    "health_check_period_s": 1.0,
    "health_check_timeout_s": 2.0,
    # What still generates when a replica stops has this long to end.
    "graceful_shutdown_timeout_s": 5.0,
    "graceful_shutdown_wait_loop_s": 0.2,
}
# The gateways want to know how many replicas there are: their queues let as much through as those can take.
COUNTED = RequestRouterConfig(
    request_router_class="deployments.fleet.request_router.CountingRouter"  # type: ignore[arg-type]  # Ray's hint
)
AFFINE = RequestRouterConfig(
    request_router_class="deployments.fleet.request_router.AffineRouter"  # type: ignore[arg-type]
)
FLEET_CALLS = 10_000  # each waits for a model to load, or is answered at once
BACKPRESSURE = {"status_code": 429, "retry_after_s": RETRY_AFTER_S}


def build(settings: Settings) -> Application:
    """The application of a config file; Serve makes `settings` of its `args`, and the environment wins."""
    from deployments.gateway.deployment import Gateway  # seconds of imports, which the fleet does without

    settings = resolve(settings.model_dump(mode="json"))
    models = {model.id: _model(model, settings) for model in settings.started_models}
    embedder = retriever = None
    if settings.embedding_models:
        embedder = _embedder(settings.embedding_models[0], settings)
        retriever = _retriever(settings, embedder)
    rerankers = {model.id: _reranker(model, settings) for model in settings.rerank_models}
    gateway = _deployment(
        serve.ingress()(Gateway),
        "Gateway",
        num_replicas=settings.gateway.replicas,
        max_surge_percent=100,  # an update of the only gateway is no moment without one
        graceful_shutdown_timeout_s=max(model.replicas.drain_s for model in settings.models),
        max_ongoing_requests=settings.gateway.max_ongoing,
        ray_actor_options={
            "num_cpus": settings.gateway.cpus,
            **({"num_gpus": settings.processing.gpus} if settings.processing.gpus else {}),
        },
    )
    fleet = _deployment(
        Fleet,
        "Fleet",
        num_replicas=1,  # one table of what is loaded
        max_ongoing_requests=FLEET_CALLS,
        ray_actor_options={"num_cpus": WAITING_CPUS},
    )
    return gateway.bind(settings, models, embedder, retriever, fleet.bind(settings, loadable), rerankers)


def loadable(model: ModelSettings, settings: Settings) -> Application:
    """A model as an application of its own, which the fleet deploys and deletes."""
    options = _replicas(model, settings)
    del options["request_router_config"]  # which the first deployment of an application can't have
    # Serve holds the first deployment of an application open for half a minute when it goes, for balancers in front
    # of it to notice. There are none: nothing but our gateways knows of it, and they have let go of it by then.
    environment = {"env_vars": {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0"}}
    actor = {**options.pop("ray_actor_options"), "runtime_env": environment}
    deployment = _deployment(
        ModelReplica,
        deployment_name(model.id),
        ray_actor_options=actor,
        max_constructor_retry_count=1,  # what can't be loaded is reported at once
        **options,
    )
    return deployment.bind(model, settings)


def _model(model: ModelSettings, settings: Settings) -> Application:
    # A GPU cannot hold the old and the new replica at once; a CPU can, and nobody waits.
    surge = 0 if settings.gpus_of(model) else 100
    options = _replicas(model, settings)
    deployment = _deployment(
        ModelReplica,
        deployment_name(model.id),
        max_surge_percent=surge,
        graceful_shutdown_timeout_s=model.replicas.drain_s,
        **options,
    )
    return deployment.bind(model, settings)


def _embedder(model: ModelSettings, settings: Settings) -> Application:
    from deployments.retrieval.embedder import Embedder

    return _deployment(Embedder, "Embedder", **_replicas(model, settings)).bind(model, settings)


def _reranker(model: ModelSettings, settings: Settings) -> Application:
    from deployments.retrieval.reranker import Reranker

    name = deployment_name(model.id)
    return _deployment(Reranker, name, **_replicas(model, settings)).bind(model, settings)


def _retriever(settings: Settings, embedder: Application) -> Application:
    from deployments.retrieval.retriever import Retriever
    from deployments.retrieval.vectors import VectorStore

    vectors = _deployment(
        VectorStore,
        "VectorStore",
        num_replicas=1,  # an embedded Chroma has one owner
        max_ongoing_requests=64,
        ray_actor_options={"num_cpus": settings.stores.vectors.cpus},
    )
    retriever = _deployment(
        Retriever, "Retriever", max_ongoing_requests=64, ray_actor_options={"num_cpus": WAITING_CPUS}
    )
    return retriever.bind(settings, embedder, vectors.bind(settings))


def _replicas(model: ModelSettings, settings: Settings) -> dict[str, Any]:
    """Serve's options for a model's replicas: how many, what each takes, how many may wait."""
    replicas, gpus = model.replicas, settings.gpus_of(model)
    options: dict[str, Any] = {
        "max_ongoing_requests": replicas.max_ongoing,
        "max_queued_requests": _queued_at_serve(model, settings),
        "backpressure_config": BACKPRESSURE,
        "request_router_config": COUNTED if model.routing == "queue" else AFFINE,
        "ray_actor_options": {"num_cpus": replicas.cpus, **({"num_gpus": gpus} if gpus else {})},
    }
    if not replicas.scales:
        return {**options, "num_replicas": replicas.max}
    return {**options, "autoscaling_config": autoscaling(replicas)}


def _queued_at_serve(model: ModelSettings, settings: Settings) -> int:
    """Requests that wait for Serve's router, at each caller; -1 is no limit.

    A gateway's own queue bounds who waits. What it lets through stands here for a moment until it is assigned,
    all of a burst at once: free places must not be refused because many came together.
    """
    if model.replicas.max_queued < 0:
        return -1
    at_once, _ = places_of(model, settings, model.replicas.max)
    return model.replicas.max_queued + at_once


def _deployment(body: type, name: str, **options: Any) -> Deployment:
    return serve.deployment(name=name, **{**ALWAYS, **options})(body)
