"""Which models there are, how many replicas each has, and where their weights come from."""

from typing import Any, Literal

from pydantic import Field, model_validator

from cluster import catalog
from cluster.settings.engines import ENGINE_TASKS, ENGINES, Engine, VllmSettings
from cluster.settings.routing import FallbackSettings
from cluster.settings.strict import Strict

Routing = Literal["queue", "session", "prefix"]

HF_TASKS = {"text-generation": "chat", "feature-extraction": "embedding"}


class ScaleOnSettings(Strict):
    """What brings further replicas beside requests at once. What is not said brings none."""

    ttft_p95_ms: float | None = Field(
        None, gt=0, description="time to the first token, the wait for a place included; p95 over 30 s"
    )
    queued: int | None = Field(None, ge=1, description="requests a replica that wait for a place or a first token")

    @model_validator(mode="after")
    def _says_something(self) -> "ScaleOnSettings":
        if self.ttft_p95_ms is None and self.queued is None:
            raise ValueError("scale_on needs ttft_p95_ms, queued or both")
        return self


class ReplicaSettings(Strict):
    """How many replicas of a model, and what each takes. min below max turns autoscaling on; min 0 lets it sleep.

    routing: which replica a request goes to. `queue` is the one with the least to do; `session` the one of its
    session before, `prefix` the one that has seen the beginning of its prompt, both as long as that has not much
    more to do than the others. None is `prefix` where it helps: several replicas whose engine keeps prompts.
    """

    min: int = Field(1, ge=0)
    max: int = Field(1, ge=1)
    cpus: float = Field(0.25, gt=0, description="logical CPUs that Ray reserves, not a limit on use")
    gpus: float | None = Field(None, ge=0, description="None: 1 where hub.enable_gpu is set, else 0")
    max_ongoing: int = Field(64, ge=1, description="requests in a replica at once: the engine's concurrency")
    max_queued: int = Field(256, ge=-1, description="requests waiting at each caller; past it 429")
    target_ongoing: int = Field(16, ge=1, description="autoscaling aims at this many requests a replica")
    scale_on: ScaleOnSettings | None = Field(None, description="what brings replicas beside target_ongoing")
    up_delay_s: float = Field(10.0, ge=0, description="how long more must be wanted before they start")
    down_delay_s: float = Field(300.0, ge=0, description="how long fewer must be enough before one stops")
    zero_delay_s: float | None = Field(None, ge=0, description="the same of the last; None: down_delay_s")
    drain_s: float = Field(60.0, ge=0, description="for answers in progress, when a replica stops or is replaced")
    routing: Routing | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "ReplicaSettings":
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        if self.scale_on is not None and not self.scales:
            raise ValueError("scale_on needs min below max: there is nothing to scale")
        return self

    @property
    def scales(self) -> bool:
        """Whether the number of replicas follows the load."""
        return self.min < self.max


class ModelSettings(Strict):
    """One model: what clients call it, and the engine behind it. task: None takes hub.default_task.

    An id of the catalog needs nothing else, and whatever is said beside it wins over the catalog. catalog: the
    catalog's id, where clients call the model something else.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")
    catalog: str | None = None
    memory_gib: float | None = Field(None, gt=0, description="weights and KV cache; None takes the catalog's")
    task: Literal["chat", "embedding", "rerank"] | None = None
    context_length: int | None = Field(None, ge=16, description="None takes the model's own")
    load: Literal["start", "on_demand"] = Field(
        "start", description="with the cluster, or by the first request for it"
    )
    engine: Engine
    replicas: ReplicaSettings = ReplicaSettings()
    fallbacks: FallbackSettings = FallbackSettings()

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = catalog.completed(data, {kind: engine.model_fields for kind, engine in ENGINES.items()})
        if "task" not in data and isinstance(data.get("engine"), dict):
            task = ENGINE_TASKS.get(str(data["engine"].get("kind")))
            return {**data, "task": task} if task else data
        return data

    @model_validator(mode="after")
    def _routable(self) -> "ModelSettings":
        if self.replicas.routing not in (None, "queue") and self.load == "on_demand":
            # Serve refuses an own request router to the first deployment of an application, as this one's is.
            raise ValueError(f"replicas.routing: {self.replicas.routing} needs load: start")
        return self

    @property
    def routing(self) -> Routing:
        """Which replica a request goes to. vLLM alone keeps what it has read of prompts for those that come."""
        if self.replicas.routing is not None:
            return self.replicas.routing
        keeps = isinstance(self.engine, VllmSettings) and self.task != "embedding"
        return "prefix" if keeps and self.replicas.max > 1 and self.load == "start" else "queue"

    @property
    def memory(self) -> float | None:
        """GiB that a replica takes for weights and KV cache where it does not take a GPU's share; None: unknown."""
        entry = catalog.find(self.catalog or self.id)
        if self.memory_gib is not None or entry is None or "source" not in type(self.engine).model_fields:
            return self.memory_gib
        if isinstance(self.engine, VllmSettings):
            return entry.weights_gib + self.engine.kv_cache_gib
        return entry.weights_gib + entry.context_gib(self.context_length)


class HubSettings(Strict):
    """What the Hugging Face variables say."""

    model_path: str | None = Field(None, description="folder that Hub models are kept in")
    max_cached_models: int = Field(3, ge=1, description="chat models kept loaded; more are refused")
    default_task: Literal["text-generation", "feature-extraction"] = "text-generation"
    enable_gpu: bool = False
    offline: bool = Field(False, description="never ask the Hub, use what is on disk")
    catalog: str | None = Field(None, description="file of your own models, in the words of cluster/models.yaml")
    folders: tuple[str, ...] = Field((), description="folders whose models and GGUF files are listed, too")
    registry: str | None = Field(None, description="folder that models are pulled from, before the Hub is asked")
    keep_free_gib: float = Field(1.0, ge=0, description="of the disk, that a download never takes")
