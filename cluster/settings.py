"""Every setting, as one strict tree: an unknown key or a wrong type fails at load.

`cluster.config` reads it from files and the environment.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cluster import catalog

WAITING_CPUS = 0.1  # logical CPUs of a deployment that only waits on others, such as the retriever
HF_TASKS = {"text-generation": "chat", "feature-extraction": "embedding"}
ENGINE_TASKS = {"sentence": "embedding", "hash": "embedding", "scripted": "chat"}
GPU_KINDS = ("vllm", "transformers")  # those that take a GPU where there is one


class Strict(BaseModel):
    """Base of all settings: frozen, and no key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class GenerationDefaults(Strict):
    """How a model samples where a request says nothing; None leaves it to the model's generation_config.json."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, description="0 is all tokens")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=10)


class VllmSettings(Strict):
    """The vLLM engine. source: a folder (relative to the project or absolute) or a Hub id."""

    kind: Literal["vllm"] = "vllm"
    source: str
    revision: str | None = Field(None, description="Hub commit or branch; None is the newest")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_num_seqs: int = Field(64, ge=1, le=4096, description="sequences that generate at once")
    kv_cache_gib: int = Field(1, ge=1, description="KV cache on CPU, in GiB; a GPU takes its memory share")
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1)
    tensor_parallel_size: int = Field(1, ge=1)
    enforce_eager: bool | None = Field(None, description="None: eager on CPU, compiled on a GPU")
    trust_remote_code: bool = False
    tool_call_parser: str | None = Field(None, description="vLLM's parser for the model's tool calls")
    generation: GenerationDefaults = GenerationDefaults()


class TransformersSettings(Strict):
    """Transformers, for what vLLM cannot run: one answer at a time. source: a folder or a Hub id."""

    kind: Literal["transformers"] = "transformers"
    source: str
    revision: str | None = Field(None, description="Hub commit or branch; None is the newest")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    trust_remote_code: bool = Field(False, description="run Python from the model's folder: pin a revision")
    also: tuple[str, ...] = Field((), description="other Hub repositories that the model's own code reads")
    generation: GenerationDefaults = GenerationDefaults()


class ScriptedSettings(Strict):
    """The deterministic fake: it answers by rule, with adjustable delays, failures and token counts.

    Delays are in seconds. fail_every: every n-th call fails with EngineFailure, 0 is never.
    die_after: the engine dies at that call and stays dead, 0 is never.
    """

    kind: Literal["scripted"] = "scripted"
    start_delay_s: float = Field(0.0, ge=0)
    first_token_delay_s: float = Field(0.0, ge=0)
    token_delay_s: float = Field(0.0, ge=0)
    tokens: int | None = Field(None, ge=0, description="tokens of each answer; None lets the rule decide")
    fail_every: int = Field(0, ge=0)
    fail_after_tokens: int | None = Field(None, ge=0, description="break a stream after that many tokens")
    die_after: int = Field(0, ge=0)
    images: bool = Field(False, description="it sees pictures: their size, and the colour in their middle")


class SentenceSettings(Strict):
    """Sentence embeddings. source: `builtin` (all-MiniLM-L6-v2 from its PyPI package), a folder or a Hub id."""

    kind: Literal["sentence"] = "sentence"
    source: str = "builtin"
    revision: str | None = None
    batch_size: int = Field(32, ge=1, le=4096)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


class HashSettings(Strict):
    """The fake embedder: vectors from hashed words, no model, deterministic."""

    kind: Literal["hash"] = "hash"
    dimensions: int = Field(64, ge=8, le=4096)


class ReplicaSettings(Strict):
    """How many replicas of a model, and what each takes. min below max turns autoscaling on."""

    min: int = Field(1, ge=0)
    max: int = Field(1, ge=1)
    cpus: float = Field(0.25, gt=0, description="logical CPUs that Ray reserves, not a limit on use")
    gpus: float | None = Field(None, ge=0, description="None: 1 where hub.enable_gpu is set, else 0")
    max_ongoing: int = Field(64, ge=1, description="requests in a replica at once: the engine's concurrency")
    max_queued: int = Field(256, ge=-1, description="requests waiting at each caller; past it 429")
    target_ongoing: int = Field(16, ge=1, description="autoscaling aims at this many requests a replica")

    @model_validator(mode="after")
    def _ordered(self) -> "ReplicaSettings":
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


AnyEngine = VllmSettings | TransformersSettings | ScriptedSettings | SentenceSettings | HashSettings
Engine = Annotated[AnyEngine, Field(discriminator="kind")]
ENGINES: dict[str, type[Strict]] = {kind.model_fields["kind"].default: kind for kind in get_args(AnyEngine)}


class ModelSettings(Strict):
    """One model: what clients call it, and the engine behind it. task: None takes hub.default_task.

    An id of the catalog needs nothing else, and whatever is said beside it wins over the catalog. catalog: the
    catalog's id, where clients call the model something else.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")
    catalog: str | None = None
    memory_gib: float | None = Field(None, gt=0, description="weights and KV cache; None takes the catalog's")
    task: Literal["chat", "embedding"] | None = None
    context_length: int | None = Field(None, ge=16, description="None takes the model's own")
    engine: Engine
    replicas: ReplicaSettings = ReplicaSettings()

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


class GatewaySettings(Strict):
    """The HTTP ingress."""

    replicas: int = Field(1, ge=1)
    cpus: float = Field(0.1, gt=0)
    max_ongoing: int = Field(512, ge=1)
    cors_origins: tuple[str, ...] = ()


class StreamingSettings(Strict):
    """How token events become chunks on the wire; the first is always sent at once."""

    max_events_per_chunk: int = Field(50, ge=1, description="events joined into one chunk at most")


class LimitSettings(Strict):
    """What a request may cost. Sizes in bytes, times in milliseconds."""

    max_body_bytes: int = Field(32 * 1024**2, ge=1024)
    max_messages: int = Field(2048, ge=1)
    max_embedding_inputs: int = Field(2048, ge=1)
    max_embedding_characters: int = Field(4_000_000, ge=1, description="of one request's texts together")
    max_images: int = Field(16, ge=0, description="pictures of one request")
    max_image_bytes: int = Field(20 * 1024**2, ge=1, description="of one encoded picture")
    max_image_side: int = Field(4096, ge=1, description="pixels; a longer picture is scaled down to it")
    max_image_pixels: int = Field(40_000_000, ge=1, description="of one request's pictures together")
    generation_timeout_ms: int = Field(600_000, ge=1)


class DocumentSettings(Strict):
    """Ingest and retrieval. Sizes of chunks in the embedder's tokens."""

    collection: str = Field("documents", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,510}[A-Za-z0-9]$")
    chunk_tokens: int = Field(128, ge=16)
    chunk_overlap: int = Field(16, ge=0)
    max_file_bytes: int = Field(64 * 1024**2, ge=1)
    inline_bytes: int = Field(
        512 * 1024, ge=0, description="uploads up to this are stored at once, larger by a job"
    )
    max_pages: int = Field(5000, ge=1)
    folders: tuple[str, ...] = Field((".",), description="folders that `ingest` may read")
    passages: int = Field(4, ge=1, le=100, description="passages an answer is made from")
    min_score: float = Field(0.2, ge=-1, le=1, description="passages below this cosine are not shown")
    answer_model: str | None = Field(None, description="None takes the first chat model")
    answer_tokens: int = Field(96, ge=1)
    workers: int = Field(1, ge=1, description="embedding actors of an ingest job")
    worker_cpus: float = Field(0.5, gt=0)

    @model_validator(mode="after")
    def _overlap_below_size(self) -> "DocumentSettings":
        if self.chunk_overlap >= self.chunk_tokens:
            raise ValueError(
                f"chunk_overlap ({self.chunk_overlap}) must be below chunk_tokens ({self.chunk_tokens})"
            )
        return self


class SweepSettings(Strict):
    """Sweeps. in_flight: cells of one sweep that wait on a model at once, over all workers."""

    max_cells: int = Field(1_000_000, ge=1)
    in_flight: int = Field(8, ge=1, le=4096)
    workers: int = Field(1, ge=1)
    worker_cpus: float = Field(0.25, gt=0)
    block_cells: int = Field(32, ge=1, description="cells that become one Parquet file at most")
    cell_timeout_s: float = Field(300.0, gt=0)
    retries: int = Field(2, ge=0, description="tries again of a cell whose error a retry can help")


class VectorSettings(Strict):
    """The vector store: `embedded` (one owner process), `server` (a Chroma server) or `memory` (the fake)."""

    kind: Literal["embedded", "server", "memory"] = "embedded"
    url: str | None = Field(None, description="http://host:port of the Chroma server")
    cpus: float = Field(0.1, gt=0)

    @model_validator(mode="after")
    def _url_of_server(self) -> "VectorSettings":
        if (self.kind == "server") != (self.url is not None):
            raise ValueError("url goes with kind: server, and kind: server needs a url")
        return self


class StoreSettings(Strict):
    """Where durable things live. database: an SQLAlchemy URL; None is SQLite under the home."""

    vectors: VectorSettings = VectorSettings()
    database: str | None = None
    redis: str | None = Field(None, description="redis:// URL: Ray keeps its state there, past its head")


class Settings(Strict):
    """All of Heliostat's settings. home: the folder that holds all data, HELIOSTAT_HOME by default."""

    home: str = ".heliostat"
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    hub: HubSettings = HubSettings()
    gateway: GatewaySettings = GatewaySettings()
    streaming: StreamingSettings = StreamingSettings()
    limits: LimitSettings = LimitSettings()
    documents: DocumentSettings = DocumentSettings()
    sweeps: SweepSettings = SweepSettings()
    stores: StoreSettings = StoreSettings()

    @field_validator("models")
    @classmethod
    def _distinct(cls, models: tuple[ModelSettings, ...]) -> tuple[ModelSettings, ...]:
        ids = [model.id for model in models]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"the id {twice[0]!r} is given twice")
        return models

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if len(self.chat_models) > self.hub.max_cached_models:
            raise ValueError(
                f"{len(self.chat_models)} chat models, but hub.max_cached_models is {self.hub.max_cached_models}"
            )
        if len(self.embedding_models) > 1:
            raise ValueError("one embedding model at most: all collections share it")
        wanted = self.documents.answer_model
        if wanted is not None and wanted not in {model.id for model in self.chat_models}:
            raise ValueError(f"documents.answer_model {wanted!r} is not one of the chat models")
        return self

    @property
    def chat_models(self) -> tuple[ModelSettings, ...]:
        """The models that chat, in the file's order."""
        return tuple(model for model in self.models if self.task_of(model) == "chat")

    @property
    def embedding_models(self) -> tuple[ModelSettings, ...]:
        """The embedder, or nothing."""
        return tuple(model for model in self.models if self.task_of(model) == "embedding")

    def task_of(self, model: ModelSettings) -> str:
        """`chat` or `embedding`."""
        return model.task or HF_TASKS[self.hub.default_task]

    def gpus_of(self, model: ModelSettings) -> float:
        """GPUs that Ray reserves for each replica of the model."""
        if model.replicas.gpus is not None:
            return model.replicas.gpus
        return 1.0 if self.hub.enable_gpu and model.engine.kind in GPU_KINDS else 0.0

    @property
    def home_path(self) -> Path:
        """The home as an absolute path."""
        return Path(self.home).expanduser().absolute()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.stores.database or f"sqlite:///{self.home_path / 'heliostat.db'}"
