"""Models at work: choosing one, loading it, what it refuses, and how it fails."""

from cluster.errors.base import HeliostatError
from cluster.errors.capacity import Unavailable
from cluster.errors.requests import BadRequest


class NoCapableModel(BadRequest):
    """The choice of a model is ours, and none can do what the request asks."""

    code = "no_capable_model"


class ContextTooLong(BadRequest):
    """Prompt plus completion do not fit the model's context."""

    code = "context_length_exceeded"


class EngineFailure(HeliostatError):
    """The engine failed on this request; others go on."""

    code, status, retryable = "engine_error", 500, True
    legacy = "HF_GENERATION_FAILED"


class EngineDead(Unavailable):
    """The engine of a replica has died; the replica is being replaced."""

    code, legacy = "engine_dead", "HF_PIPELINE_ERROR"


class ReplicaLost(Unavailable):
    """A replica died while it held the request."""

    code, legacy = "replica_lost", "HF_PIPELINE_ERROR"


class CircuitOpen(Unavailable):
    """A model that failed too often lately is not asked for a while."""

    code = "circuit_open"


class GenerationTimeout(HeliostatError):
    """The generation took longer than the limit."""

    code, status = "generation_timeout", 504
    legacy = "HF_TIMEOUT"


class DeadlineExceeded(GenerationTimeout):
    """The generation took longer than the client said it would wait."""

    code = "deadline_exceeded"


class ModelLoading(Unavailable):
    """The model is being loaded, and that takes longer than the request may wait."""

    code, legacy = "model_loading", "HF_TIMEOUT"


class LoadFailed(Unavailable):
    """The model was asked for and could not be loaded; the same would happen again."""

    code, retryable, legacy = "model_load_failed", False, "HF_MODEL_LOAD_FAILED"


class OutOfMemory(LoadFailed):
    """The model was asked for, and there was too little memory to load it, also without the models nobody used."""

    code, legacy = "out_of_memory", "HF_MEMORY_EXCEEDED"


class NoRoom(Unavailable):
    """The model cannot be loaded now: those that are loaded are in use."""

    code, legacy = "no_room", "HF_MEMORY_EXCEEDED"


class ModelTooLarge(NoRoom):
    """The model cannot be loaded here, whatever else is unloaded."""

    code, status, retryable = "model_too_large", 507, False
