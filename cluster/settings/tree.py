"""All settings together, and what they must agree on."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from cluster.settings.apis import BatchSettings, ConversationSettings, FileSettings, ResponseSettings
from cluster.settings.engines import GPU_KINDS
from cluster.settings.fleet import FleetSettings
from cluster.settings.gateway import AuthSettings, CacheSettings, GatewaySettings, StreamingSettings
from cluster.settings.graphql import GraphqlSettings
from cluster.settings.limits import LimitSettings
from cluster.settings.models import HF_TASKS, HubSettings, ModelSettings
from cluster.settings.pipelines import DocumentSettings, SweepSettings
from cluster.settings.processing import ProcessingSettings
from cluster.settings.providers import Provider, check_providers
from cluster.settings.remote import REMOTE_KINDS
from cluster.settings.routing import RoutingSettings, check_fallbacks
from cluster.settings.stores import StoreSettings
from cluster.settings.strict import Strict

WAITING_CPUS = 0.1  # logical CPUs of a deployment that only waits on others, such as the retriever


class Settings(Strict):
    """All of Heliostat's settings. home: the folder that holds all data, HELIOSTAT_HOME by default."""

    home: str = ".heliostat"
    models: tuple[ModelSettings, ...] = Field(min_length=1)
    providers: tuple[Provider, ...] = Field((), description="whose models may be asked for as provider/model")
    hub: HubSettings = HubSettings()
    gateway: GatewaySettings = GatewaySettings()
    auth: AuthSettings = AuthSettings()
    streaming: StreamingSettings = StreamingSettings()
    limits: LimitSettings = LimitSettings()
    routing: RoutingSettings = RoutingSettings()
    fleet: FleetSettings = FleetSettings()
    documents: DocumentSettings = DocumentSettings()
    processing: ProcessingSettings = ProcessingSettings()
    sweeps: SweepSettings = SweepSettings()
    responses: ResponseSettings = ResponseSettings()
    files: FileSettings = FileSettings()
    batches: BatchSettings = BatchSettings()
    cache: CacheSettings = CacheSettings()
    conversations: ConversationSettings = ConversationSettings()
    graphql: GraphqlSettings = GraphqlSettings()
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
        for model in (*self.embedding_models, *self.rerank_models):
            if model.load == "on_demand":
                hint = "replicas.min: 0 lets it sleep"
                raise ValueError(f"load: on_demand is of chat models, not of {model.id!r}; {hint}")
            if model.replicas.routing not in (None, "queue") or model.replicas.scale_on is not None:
                raise ValueError(f"replicas.routing and replicas.scale_on are of chat models, not of {model.id!r}")
        check_fallbacks(self.models, self.task_of)
        check_providers(self.providers, frozenset(model.id for model in self.models))
        self._check_auto()
        talker = self.conversations.model
        if talker is not None and talker not in {model.id for model in self.chat_models}:
            raise ValueError(f"conversations.model {talker!r} is not one of the chat models")
        wanted = self.documents.answer_model
        if wanted is not None and wanted not in {model.id for model in self.chat_models}:
            raise ValueError(f"documents.answer_model {wanted!r} is not one of the chat models")
        return self

    def _check_auto(self) -> None:
        """What is on disk is not known here: where that may be asked for, any name may be one of it."""
        known = {model.id for model in self.chat_models}
        ahead = tuple(f"{provider.id}/" for provider in self.providers)
        for name in self.routing.auto.models:
            if name not in known and not name.startswith(ahead) and not self.fleet.on_demand:
                raise ValueError(f"routing.auto.models names {name!r}, which is not one of the chat models")

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

    @property
    def rerank_models(self) -> tuple[ModelSettings, ...]:
        """The cross-encoders, in the file's order."""
        return tuple(model for model in self.models if self.task_of(model) == "rerank")

    def task_of(self, model: ModelSettings) -> str:
        """`chat`, `embedding` or `rerank`."""
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
