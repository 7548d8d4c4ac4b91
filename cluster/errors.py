"""All that goes wrong on purpose, on one screen.

    HeliostatError                    code                        status  retry
    ├── BadRequest                    invalid_request             400
    │   ├── ContextTooLong            context_length_exceeded     400
    │   ├── UnsupportedParameter      unsupported_parameter       400
    │   ├── NoCapableModel            no_capable_model            400
    │   ├── BrokenDocument            broken_document             400
    │   ├── EncryptedDocument         encrypted_document          400
    │   ├── EmptyDocument             empty_document              400
    │   ├── PathNotAllowed            path_not_allowed            400
    │   ├── ImageUrlNotAllowed        invalid_image_url           400
    │   ├── ImageFetchFailed          image_fetch_failed          400
    │   ├── UnsupportedImage          unsupported_image_media_type 400
    │   ├── UnreadableImage           image_parse_error           400
    │   ├── ImageTooLarge             image_too_large             400
    │   ├── InvalidModelName          invalid_model_name          400
    │   ├── PickledWeights            pickled_weights             400
    │   ├── UnreadableQuery           graphql_parse_failed        400
    │   ├── InvalidQuery              graphql_validation_failed   400
    │   ├── QueryTooComplex           graphql_too_complex         400
    │   ├── NothingToRun              empty_plan                  400
    │   └── PlanTooLarge              plan_too_large              400
    ├── InvalidApiKey                 invalid_api_key             401
    │   └── InvalidCredentials        invalid_credentials         401
    ├── PermissionDenied              permission_denied           403
    │   ├── GatedModel                gated_model                 403
    │   └── OriginNotAllowed          origin_not_allowed          403
    ├── NotFound                      not_found                   404
    │   ├── ModelNotFound             model_not_found             404
    │   │   └── RevisionNotFound      model_revision_not_found    404
    │   ├── ProviderNotFound          provider_not_found          404
    │   ├── DocumentNotFound          document_not_found          404
    │   ├── CollectionNotFound        collection_not_found        404
    │   ├── AccountNotFound           account_not_found           404
    │   ├── KeyNotFound               key_not_found               404
    │   ├── ExperimentNotFound        experiment_not_found        404
    │   ├── ResponseNotFound          response_not_found          404
    │   ├── UploadNotFound            file_not_found              404
    │   ├── BatchNotFound             batch_not_found             404
    │   ├── ConversationNotFound      conversation_not_found      404
    │   └── StreamSessionNotFound     stream_session_not_found    404
    ├── MethodNotAllowed              method_not_allowed          405
    ├── Conflict                      conflict                    409
    │   ├── AuthOff                   auth_off                    409
    │   ├── IdempotencyMismatch       idempotency_mismatch        409
    │   ├── IdempotencyInProgress     idempotency_in_progress     409     yes
    │   ├── ConversationBusy          conversation_busy           409
    │   ├── ModelInUse                model_in_use                409
    │   └── EmbedderMismatch          embedder_mismatch           409
    ├── PreconditionFailed            precondition_failed         412
    ├── PayloadTooLarge               payload_too_large           413
    ├── UnsupportedMediaType          unsupported_media_type      415
    ├── UnsupportedDocument           unsupported_document_type   415
    ├── HeadersTooLarge               headers_too_large           431
    ├── Overloaded                    rate_limit_exceeded         429     yes
    │   ├── NeverWithinLimit          rate_limit_exceeded         429
    │   └── TooManyAttempts           too_many_attempts           429     yes
    ├── EngineFailure                 engine_error                500     yes
    │   └── ProviderFailure           provider_error              502     yes
    │       └── ProviderRefused       provider_refused            502
    ├── BrokenModel                   broken_model                500
    │   └── NoWeights                 no_weights                  500
    ├── Unavailable                   unavailable                 503     yes
    │   ├── RegistryAway              registry_unavailable        503     yes
    │   ├── HashMismatch              hash_mismatch               503     yes
    │   ├── EngineDead                engine_dead                 503     yes
    │   ├── ProviderAway              provider_unavailable        503     yes
    │   ├── DatabaseAway              database_unavailable        503     yes
    │   ├── CircuitOpen               circuit_open                503     yes
    │   ├── ModelLoading              model_loading               503     yes
    │   ├── LoadFailed                model_load_failed           503
    │   │   └── OutOfMemory           out_of_memory               503
    │   ├── NoRoom                    no_room                     503     yes
    │   │   └── ModelTooLarge         model_too_large             507
    │   └── ReplicaLost               replica_lost                503     yes
    ├── GenerationTimeout             generation_timeout          504
    │   └── DeadlineExceeded          deadline_exceeded           504
    ├── DiskFull                      disk_full                   507
    ├── SettingsError                 invalid_settings            (exit 2)
    │   └── AuthRequired              auth_required               (exit 2)
    └── ClusterError                  cluster_error               (exit 1)
        ├── PortTaken                 port_taken
        ├── AlreadyRunning            already_running
        ├── NotRunning                not_running
        ├── StaleCluster              stale_cluster
        ├── StartFailed               start_failed
        └── DamagedRun                damaged_run                 500

Codes are stable: clients may branch on them. Every error survives pickling, because it crosses processes.
"""

from typing import Any, ClassVar


class HeliostatError(Exception):
    """Base of every deliberate error.

    message: what was wrong, in one sentence. hint: what would be right. param: the JSON path of the
    offending field. retry_after_s: when a retry may succeed, in seconds. legacy: the code that an older API of
    these services had for it, for clients that branch on those.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    legacy: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        details = {"hint": self.hint, "param": self.param, "retry_after_s": self.retry_after_s}
        return _rebuild, (type(self), self.message, details)

    def line(self) -> str:
        """The error as one line of text, for the command line and logs."""
        return f"{self.message} — {self.hint}" if self.hint else self.message


def _rebuild(kind: type[HeliostatError], message: str, details: dict[str, Any]) -> HeliostatError:
    return kind(message, **details)


def legacy_of(code: str) -> str | None:
    """The code that older clients know a stable one by; None where they knew of no such thing."""
    kinds = [HeliostatError]
    for kind in kinds:  # it grows: every class once
        if kind.code == code:
            return kind.legacy
        kinds += kind.__subclasses__()
    return None


class BadRequest(HeliostatError):
    """The request cannot be understood or honoured as sent."""

    code, status = "invalid_request", 400


class ContextTooLong(BadRequest):
    """Prompt plus completion do not fit the model's context."""

    code = "context_length_exceeded"


class UnsupportedParameter(BadRequest):
    """A valid parameter that this model or engine cannot honour: refused, never ignored."""

    code, legacy = "unsupported_parameter", "HF_INVALID_CONFIG"


class NoCapableModel(BadRequest):
    """The choice of a model is ours, and none can do what the request asks."""

    code = "no_capable_model"


class BrokenDocument(BadRequest):
    """A document that its parser cannot read."""

    code = "broken_document"


class EncryptedDocument(BadRequest):
    """A document that needs a password."""

    code = "encrypted_document"


class EmptyDocument(BadRequest):
    """A document with no text in it."""

    code = "empty_document"


class PathNotAllowed(BadRequest):
    """A path outside the folders that may be read."""

    code = "path_not_allowed"


class ImageUrlNotAllowed(BadRequest):
    """A picture that is neither a base64 data URL nor at an address that may be asked; no file is opened."""

    code = "invalid_image_url"


class ImageFetchFailed(BadRequest):
    """A picture's address may be asked, and gave none."""

    code = "image_fetch_failed"


class UnsupportedImage(BadRequest):
    """A picture of a format that is not read here."""

    code = "unsupported_image_media_type"


class UnreadableImage(BadRequest):
    """A picture whose bytes are broken, or that the model cannot take."""

    code = "image_parse_error"


class ImageTooLarge(BadRequest):
    """A picture of more bytes or pixels than allowed."""

    code = "image_too_large"


class InvalidModelName(BadRequest):
    """A name that no model can have, such as one that leads out of its folder."""

    code = "invalid_model_name"


class PickledWeights(BadRequest):
    """A model whose weights are pickled, which can run any code, and whose entry does not allow that."""

    code, legacy = "pickled_weights", "HF_MODEL_LOAD_FAILED"


class UnreadableQuery(BadRequest):
    """A GraphQL document that is none."""

    code = "graphql_parse_failed"


class InvalidQuery(BadRequest):
    """A GraphQL document or variables that do not fit the schema."""

    code = "graphql_validation_failed"


class QueryTooComplex(BadRequest):
    """A GraphQL operation that asks for more than one may."""

    code = "graphql_too_complex"


class NothingToRun(BadRequest):
    """A sweep whose plan has no cells."""

    code = "empty_plan"


class PlanTooLarge(BadRequest):
    """A sweep whose plan has more cells than allowed."""

    code = "plan_too_large"


class InvalidApiKey(HeliostatError):
    """No credentials, or such as nobody has: a key or token that is unknown, expired or revoked."""

    code, status = "invalid_api_key", 401


class InvalidCredentials(InvalidApiKey):
    """An account and password that do not belong together."""

    code = "invalid_credentials"


class PermissionDenied(HeliostatError):
    """It is known who asks, and they may not do this."""

    code, status = "permission_denied", 403


class GatedModel(PermissionDenied):
    """A model whose registry wants to know who asks, or its terms accepted."""

    code = "gated_model"


class OriginNotAllowed(PermissionDenied):
    """A browser asks for a page of another site, or by a name that is not this server's."""

    code = "origin_not_allowed"


class NotFound(HeliostatError):
    """No such thing."""

    code, status = "not_found", 404


class ModelNotFound(NotFound):
    """No model of that name is served here."""

    code, legacy = "model_not_found", "HF_MODEL_NOT_FOUND"


class RevisionNotFound(ModelNotFound):
    """The model exists, that revision of it does not."""

    code = "model_revision_not_found"


class ProviderNotFound(NotFound):
    """No provider of that id is configured, or none of its models may be asked."""

    code = "provider_not_found"


class DocumentNotFound(NotFound):
    """No document of that id."""

    code = "document_not_found"


class CollectionNotFound(NotFound):
    """No collection of documents of that name."""

    code = "collection_not_found"


class AccountNotFound(NotFound):
    """No account of that id or name."""

    code = "account_not_found"


class KeyNotFound(NotFound):
    """No API key of that id."""

    code = "key_not_found"


class ExperimentNotFound(NotFound):
    """No experiment or sweep of that id."""

    code = "experiment_not_found"


class ResponseNotFound(NotFound):
    """No stored response, or item of one, of that id."""

    code = "response_not_found"


class UploadNotFound(NotFound):
    """No stored file of that id, or it has expired."""

    code = "file_not_found"


class BatchNotFound(NotFound):
    """No batch of that id."""

    code = "batch_not_found"


class ConversationNotFound(NotFound):
    """No conversation of that id, or it was deleted."""

    code = "conversation_not_found"


class StreamSessionNotFound(NotFound):
    """No stream session of that id, or it is too old to be kept."""

    code = "stream_session_not_found"


class MethodNotAllowed(HeliostatError):
    """The path exists, the method does not."""

    code, status = "method_not_allowed", 405


class Conflict(HeliostatError):
    """The thing is not in a state that allows this."""

    code, status = "conflict", 409


class AuthOff(Conflict):
    """Accounts and keys mean nothing while authentication is off."""

    code = "auth_off"


class ConversationBusy(Conflict):
    """A conversation whose last message is still being answered."""

    code = "conversation_busy"


class IdempotencyMismatch(Conflict):
    """An Idempotency-Key that came before, with another body."""

    code = "idempotency_mismatch"


class IdempotencyInProgress(Conflict):
    """An Idempotency-Key whose first request still runs, for longer than a second one waits."""

    code, retryable = "idempotency_in_progress", True


class ModelInUse(Conflict):
    """A model that the running cluster serves."""

    code = "model_in_use"


class EmbedderMismatch(Conflict):
    """A collection made with another embedder than the one asked to query it."""

    code = "embedder_mismatch"


class PreconditionFailed(HeliostatError):
    """What was to be changed is not any more what the client saw (`If-Match`)."""

    code, status = "precondition_failed", 412


class PayloadTooLarge(HeliostatError):
    """The request body is over the limit."""

    code, status = "payload_too_large", 413


class UnsupportedMediaType(HeliostatError):
    """A body of a type that its path does not read."""

    code, status = "unsupported_media_type", 415


class UnsupportedDocument(HeliostatError):
    """A file of a type that is not read here."""

    code, status = "unsupported_document_type", 415


class HeadersTooLarge(HeliostatError):
    """The request's headers are over the limit."""

    code, status = "headers_too_large", 431


class Overloaded(HeliostatError):
    """Queues are full; come back later."""

    code, status, retryable = "rate_limit_exceeded", 429, True


class NeverWithinLimit(Overloaded):
    """A request that alone asks for more than its key's limit; waiting does not help."""

    retryable = False


class TooManyAttempts(Overloaded):
    """Too many wrong passwords; the account or the address waits."""

    code = "too_many_attempts"


class EngineFailure(HeliostatError):
    """The engine failed on this request; others go on."""

    code, status, retryable = "engine_error", 500, True
    legacy = "HF_GENERATION_FAILED"


class ProviderFailure(EngineFailure):
    """A remote provider failed on this request: an error of its own, silence, or an answer that is none."""

    code, status = "provider_error", 502


class ProviderRefused(ProviderFailure):
    """A remote provider will not serve this cluster: its key, its credit, or a model that it does not have."""

    code, retryable = "provider_refused", False


class BrokenModel(HeliostatError):
    """A model's files cannot be what they should be; another try meets the same files."""

    code, legacy = "broken_model", "HF_MODEL_LOAD_FAILED"


class NoWeights(BrokenModel):
    """A model without weights that an engine here reads."""

    code = "no_weights"


class Unavailable(HeliostatError):
    """Nobody can answer just now."""

    code, status, retryable = "unavailable", 503, True


class DatabaseAway(Unavailable):
    """The SQL database does not answer, or is too busy to."""

    code = "database_unavailable"


class RegistryAway(Unavailable):
    """Where models come from does not answer, or wants to be asked later."""

    code = "registry_unavailable"


class HashMismatch(Unavailable):
    """What arrived is not what the registry said it would be; it was thrown away."""

    code = "hash_mismatch"


class EngineDead(Unavailable):
    """The engine of a replica has died; the replica is being replaced."""

    code, legacy = "engine_dead", "HF_PIPELINE_ERROR"


class ProviderAway(Unavailable):
    """A remote provider cannot be reached, or says that it cannot answer now. A new replica changes nothing."""

    code = "provider_unavailable"


class CircuitOpen(Unavailable):
    """A model that failed too often lately is not asked for a while."""

    code = "circuit_open"


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


class ReplicaLost(Unavailable):
    """A replica died while it held the request."""

    code, legacy = "replica_lost", "HF_PIPELINE_ERROR"


class GenerationTimeout(HeliostatError):
    """The generation took longer than the limit."""

    code, status = "generation_timeout", 504
    legacy = "HF_TIMEOUT"


class DeadlineExceeded(GenerationTimeout):
    """The generation took longer than the client said it would wait."""

    code = "deadline_exceeded"


class DiskFull(HeliostatError):
    """Too little room on the disk."""

    code, status = "disk_full", 507


class SettingsError(HeliostatError):
    """A settings file or variable that cannot be used; names file and key."""

    code, status = "invalid_settings", 500
    legacy = "HF_INVALID_CONFIG"


class AuthRequired(SettingsError):
    """A server that other machines can reach, with authentication off."""

    code = "auth_required"


class ClusterError(HeliostatError):
    """The cluster cannot be started, joined or stopped."""

    code = "cluster_error"


class PortTaken(ClusterError):
    """Somebody already listens on the port."""

    code = "port_taken"


class AlreadyRunning(ClusterError):
    """This home already has a running cluster."""

    code = "already_running"


class NotRunning(ClusterError):
    """This home has no running cluster."""

    code = "not_running"


class StaleCluster(ClusterError):
    """A state file points at a cluster that is dead."""

    code = "stale_cluster"


class StartFailed(ClusterError):
    """The cluster or an application did not come up."""

    code, legacy = "start_failed", "HF_MODEL_LOAD_FAILED"


class DamagedRun(ClusterError):
    """A sweep whose stored rows cannot be read; another try meets the same files until the sweep is resumed."""

    code = "damaged_run"
