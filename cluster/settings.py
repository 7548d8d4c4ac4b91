"""Every setting, as one strict tree: an unknown key or a wrong type fails at load.

`cluster.config` reads it from files and the environment.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cluster import catalog

WAITING_CPUS = 0.1  # logical CPUs of a deployment that only waits on others, such as the retriever
HF_TASKS = {"text-generation": "chat", "feature-extraction": "embedding"}
ENGINE_TASKS = {"sentence": "embedding", "hash": "embedding", "scripted": "chat"}
GPU_KINDS = ("vllm", "transformers")  # those that take a GPU where there is one
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


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
    cors_origins: tuple[str, ...] = Field((), description="origins of pages that may ask: https://app.example")

    @field_validator("cors_origins")
    @classmethod
    def _listed(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"{origin!r} is no origin: list each as https://app.example, without a path or *")
        return origins


class AuthSettings(Strict):
    """Who may ask. `off` makes everybody who reaches the port an admin, and is refused off loopback."""

    mode: Literal["off", "on"] = "off"
    jwt_secret: str | None = Field(
        None, repr=False, description="32 bytes or more; None makes one and keeps it in the home's secrets/jwt"
    )
    access_minutes: int = Field(15, ge=1, le=60, description="life of a person's access token")
    refresh_days: int = Field(14, ge=1, le=365, description="after that a person signs in again")
    believed_s: float = Field(5.0, ge=0, le=5, description="how long a looked-up key or person is not looked up")
    failures_by_account: int = Field(10, ge=1, description="wrong passwords in a window before 429")
    failures_by_address: int = Field(50, ge=1, description="the same, of all accounts from one address")
    failure_window_minutes: int = Field(15, ge=1, le=24 * 60)
    trusted_proxies: int = Field(0, ge=0, le=8, description="proxies in front that add to X-Forwarded-For")
    min_password: int = Field(10, ge=8, le=128, description="characters")
    hash_memory_kib: int = Field(64 * 1024, ge=8, description="argon2id's memory")
    hash_rounds: int = Field(3, ge=1, description="argon2id's passes over it")

    @field_validator("mode", mode="before")
    @classmethod
    def _unquoted(cls, mode: Any) -> Any:
        # YAML reads a bare `on` as true.
        return ("off", "on")[mode] if isinstance(mode, bool) else mode

    @field_validator("jwt_secret")
    @classmethod
    def _strong(cls, secret: str | None) -> str | None:
        if secret is not None and (len(secret.encode()) < 32 or len(set(secret)) < 8):
            raise ValueError("too weak: 32 random bytes or more, such as from `openssl rand -base64 32`")
        return secret


class StreamingSettings(Strict):
    """How token events become chunks on the wire; the first is always sent at once."""

    max_events_per_chunk: int = Field(50, ge=1, description="events joined into one chunk at most")


class RateSettings(Strict):
    """What each key may use where it says nothing of its own; None is no limit. By minute, and at once.

    Several gateways count together in Redis; without it each counts by itself.
    """

    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    concurrent_requests: int | None = Field(None, ge=1)
    unsaid_answer_tokens: int = Field(
        256, ge=0, description="reserved for an answer whose length its request does not limit"
    )
    redis: str | None = Field(None, repr=False, description="redis:// URL that several gateways count in")
    redis_away: Literal["open", "closed"] = Field(
        "open", description="while Redis does not answer: requests go on unlimited, or get 503"
    )


class QueueSettings(Strict):
    """The fair queue in front of each model, in each gateway. How many may wait is the model's max_queued."""

    at_once: int | None = Field(
        None, ge=1, description="of a model's requests; None: max_ongoing of all its replicas, by gateway"
    )
    max_wait_ms: int = Field(60_000, ge=1, description="of an interactive request; past it 429")
    background_share: float = Field(0.75, gt=0, le=1, description="of the places that background work may take")


class LimitSettings(Strict):
    """What a request may cost. Sizes in bytes, times in milliseconds."""

    max_body_bytes: int = Field(32 * 1024**2, ge=1024)
    max_header_bytes: int = Field(32 * 1024, ge=1024, description="of all headers' names and values together")
    max_messages: int = Field(2048, ge=1)
    max_embedding_inputs: int = Field(2048, ge=1)
    max_embedding_characters: int = Field(4_000_000, ge=1, description="of one request's texts together")
    max_images: int = Field(16, ge=0, description="pictures of one request")
    max_image_bytes: int = Field(20 * 1024**2, ge=1, description="of one encoded picture")
    max_image_side: int = Field(4096, ge=1, description="pixels; a longer picture is scaled down to it")
    max_image_pixels: int = Field(40_000_000, ge=1, description="of one request's pictures together")
    image_urls: Literal["refused", "public"] = Field(
        "public", description="whether pictures are fetched from http(s) addresses that are not private"
    )
    image_hosts: tuple[str, ...] = Field(
        (), description="exact hosts that may be private, such as a store of yours"
    )
    image_ports: tuple[int, ...] = Field((80, 443), description="ports that pictures are fetched from")
    image_fetch_timeout_ms: int = Field(10_000, ge=1, description="of one picture, redirects included")
    generation_timeout_ms: int = Field(600_000, ge=1)
    rates: RateSettings = RateSettings()
    queue: QueueSettings = QueueSettings()


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


class ResponseSettings(Strict):
    """Stored responses of /v1/responses."""

    keep_days: int = Field(30, ge=1, description="responses are stored this long")
    max_background: int = Field(64, ge=1, description="background responses at once in a gateway; past it 429")


class FileSettings(Strict):
    """Files of the OpenAI surface, kept under the home. Sizes in bytes."""

    max_bytes: int = Field(512 * 1024**2, ge=1, description="of one upload")
    max_owner_bytes: int = Field(20 * 1024**3, ge=1, description="of all that one owner keeps")


class CacheSettings(Strict):
    """Answers that are given again to the same request of the same owner. Sizes in bytes.

    Off by default: whoever measures a model, in a benchmark or by hand, would measure the cache. redis: where
    several gateways share it; None is each gateway's own memory, which alone max_bytes and max_entries bound.
    """

    enabled: bool = False
    redis: str | None = Field(None, repr=False, description="redis:// URL; not the Redis of stores.redis")
    ttl_s: float = Field(3600.0, gt=0)
    max_bytes: int = Field(256 * 1024**2, ge=1)
    max_entries: int = Field(100_000, ge=1)
    max_entry_bytes: int = Field(1024**2, ge=1, description="an answer over this is not stored")


class BatchSettings(Strict):
    """OpenAI's batches. in_flight: lines of one batch that wait on a model at once."""

    max_lines: int = Field(50_000, ge=1)
    max_running: int = Field(2, ge=1, description="batches at once; each is a process, further ones wait")
    in_flight: int = Field(8, ge=1, le=4096)
    retries: int = Field(5, ge=0, description="tries again of a line whose error a retry can help")
    restarts: int = Field(3, ge=0, description="new jobs for a batch whose jobs die before they store a line")


class ConversationSettings(Strict):
    """Conversations, and the stream sessions that answer in them. model: None takes the first chat model."""

    model: str | None = Field(None, description="for conversations that name none; None: the first chat model")
    resume_grace_s: float = Field(
        30.0, ge=0, description="an answer that nobody reads goes on so long: time to find a network again"
    )
    flush_ms: int = Field(
        200, ge=5, le=1000, description="how often new text is stored and stop requests of others are seen"
    )
    lost_after_s: float = Field(
        15.0, gt=0, description="silence after which a gateway is dead; above the clocks' difference of two nodes"
    )
    shutdown_s: float = Field(5.0, ge=0, description="for storing the ends of running answers when a gateway stops")
    max_active: int = Field(16, ge=1, description="answers that one owner has running at once; past it 429")
    kept_sessions: int = Field(1000, ge=1, description="ended stream sessions of one owner; older ones are dropped")
    buffered_events: int = Field(1024, ge=8, description="of one answer in memory; who lags reads the database")
    answer_share: float = Field(
        0.25, gt=0, lt=1, description="of the context kept free for an answer whose length nobody limits"
    )


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
    auth: AuthSettings = AuthSettings()
    streaming: StreamingSettings = StreamingSettings()
    limits: LimitSettings = LimitSettings()
    documents: DocumentSettings = DocumentSettings()
    sweeps: SweepSettings = SweepSettings()
    responses: ResponseSettings = ResponseSettings()
    files: FileSettings = FileSettings()
    batches: BatchSettings = BatchSettings()
    cache: CacheSettings = CacheSettings()
    conversations: ConversationSettings = ConversationSettings()
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
        talker = self.conversations.model
        if talker is not None and talker not in {model.id for model in self.chat_models}:
            raise ValueError(f"conversations.model {talker!r} is not one of the chat models")
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
