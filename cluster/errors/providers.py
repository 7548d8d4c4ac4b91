"""Models that are served elsewhere."""

from cluster.errors.capacity import Unavailable
from cluster.errors.engines import EngineFailure
from cluster.errors.requests import NotFound


class ProviderNotFound(NotFound):
    """No provider of that id is configured, or none of its models may be asked."""

    code = "provider_not_found"


class ProviderFailure(EngineFailure):
    """A remote provider failed on this request: an error of its own, silence, or an answer that is none."""

    code, status = "provider_error", 502


class ProviderRefused(ProviderFailure):
    """A remote provider will not serve this cluster: its key, its credit, or a model that it does not have."""

    code, retryable = "provider_refused", False


class ProviderAway(Unavailable):
    """A remote provider cannot be reached, or says that it cannot answer now. A new replica changes nothing."""

    code = "provider_unavailable"
