"""All settings together, and what they must agree on."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from cluster.settings.apis import BatchSettings, ConversationSettings, FileSettings, ResponseSettings
from cluster.settings.engines import GPU_KINDS
from cluster.settings.fleet import FleetSettings
from cluster.settings.gateway import AuthSettings, CacheSettings, GatewaySettings, StreamingSettings
from cluster.settings.limits import LimitSettings
from cluster.settings.models import HF_TASKS, HubSettings, ModelSettings
from cluster.settings.pipelines import DocumentSettings, SweepSettings
from cluster.settings.remote import REMOTE_KINDS
from cluster.settings.routing import RoutingSettings, check_fallbacks
from cluster.settings.stores import StoreSettings
from cluster.settings.strict import Strict

WAITING_CPUS = 0.1  # logical CPUs of a deployment that only waits on others, such as the retriever


class Settings(Strict):
    """All of Heliostat's settings. home: the folder that holds all data, HELIOSTAT_HOME by default."""

    home: str = ".heliostat"
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    hub: HubSettings = HubSettings()
    gateway: GatewaySettings = GatewaySettings()
    auth: AuthSettings = AuthSettings()
    streaming: StreamingSettings = StreamingSettings()
    limits: LimitSettings = LimitSettings()
    routing: RoutingSettings = RoutingSettings()
    fleet: FleetSettings = FleetSettings()
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
        held = [model for model in self.started_models if model.engine.kind not in REMOTE_KINDS]
        if len(held) > self.hub.max_cached_models:
            raise ValueError(f"{len(held)} chat models, but hub.max_cached_models is {self.hub.max_cached_models}")
        if len(self.embedding_models) > 1:
            raise ValueError("one embedding model at most: all collections share it")
        if self.cache.semantic.enabled and not self.embedding_models:
            raise ValueError("cache.semantic.enabled needs an embedding model: it compares questions by embeddings")
        check_fallbacks(self.models, self.task_of)
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
    def started_models(self) -> tuple[ModelSettings, ...]:
        """Those of them that are loaded with the cluster, and stay."""
        return tuple(model for model in self.chat_models if model.load == "start")

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

    def device_of(self, model: ModelSettings) -> str:
        """What the model runs on: `remote`, `cuda` or `cpu`."""
        if model.engine.kind in REMOTE_KINDS:
            return "remote"
        return "cuda" if self.gpus_of(model) else "cpu"

    @property
    def home_path(self) -> Path:
        """The home as an absolute path."""
        return Path(self.home).expanduser().absolute()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.stores.database or f"sqlite:///{self.home_path / 'heliostat.db'}"
