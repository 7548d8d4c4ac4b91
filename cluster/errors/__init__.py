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
A module of this package is a subject; `from cluster.errors import X` gives each.
"""

from cluster.errors.access import (
    AccountNotFound,
    AuthOff,
    InvalidApiKey,
    InvalidCredentials,
    KeyNotFound,
    OriginNotAllowed,
    PermissionDenied,
    TooManyAttempts,
)
from cluster.errors.base import HeliostatError, legacy_of
from cluster.errors.capacity import DatabaseAway, DiskFull, NeverWithinLimit, Overloaded, Unavailable
from cluster.errors.documents import (
    BrokenDocument,
    CollectionNotFound,
    DocumentNotFound,
    EmbedderMismatch,
    EmptyDocument,
    EncryptedDocument,
    PathNotAllowed,
    UnsupportedDocument,
)
from cluster.errors.engines import (
    CircuitOpen,
    ContextTooLong,
    DeadlineExceeded,
    EngineDead,
    EngineFailure,
    GenerationTimeout,
    LoadFailed,
    ModelLoading,
    ModelTooLarge,
    NoCapableModel,
    NoRoom,
    OutOfMemory,
    ReplicaLost,
)
from cluster.errors.graphql import InvalidQuery, QueryTooComplex, UnreadableQuery
from cluster.errors.images import (
    ImageFetchFailed,
    ImageTooLarge,
    ImageUrlNotAllowed,
    UnreadableImage,
    UnsupportedImage,
)
from cluster.errors.models import (
    BrokenModel,
    GatedModel,
    HashMismatch,
    InvalidModelName,
    ModelInUse,
    ModelNotFound,
    NoWeights,
    PickledWeights,
    RegistryAway,
    RevisionNotFound,
)
from cluster.errors.operation import (
    AlreadyRunning,
    AuthRequired,
    ClusterError,
    NotRunning,
    PortTaken,
    SettingsError,
    StaleCluster,
    StartFailed,
)
from cluster.errors.providers import ProviderAway, ProviderFailure, ProviderNotFound, ProviderRefused
from cluster.errors.records import (
    BatchNotFound,
    ConversationBusy,
    ConversationNotFound,
    ResponseNotFound,
    StreamSessionNotFound,
    UploadNotFound,
)
from cluster.errors.requests import (
    BadRequest,
    Conflict,
    HeadersTooLarge,
    IdempotencyInProgress,
    IdempotencyMismatch,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    UnsupportedMediaType,
    UnsupportedParameter,
)
from cluster.errors.sweeps import DamagedRun, ExperimentNotFound, NothingToRun, PlanTooLarge

__all__ = [
    "AccountNotFound",
    "AlreadyRunning",
    "AuthOff",
    "AuthRequired",
    "BadRequest",
    "BatchNotFound",
    "BrokenDocument",
    "BrokenModel",
    "CircuitOpen",
    "ClusterError",
    "CollectionNotFound",
    "Conflict",
    "ContextTooLong",
    "ConversationBusy",
    "ConversationNotFound",
    "DamagedRun",
    "DatabaseAway",
    "DeadlineExceeded",
    "DiskFull",
    "DocumentNotFound",
    "EmbedderMismatch",
    "EmptyDocument",
    "EncryptedDocument",
    "EngineDead",
    "EngineFailure",
    "ExperimentNotFound",
    "GatedModel",
    "GenerationTimeout",
    "HashMismatch",
    "HeadersTooLarge",
    "HeliostatError",
    "IdempotencyInProgress",
    "IdempotencyMismatch",
    "ImageFetchFailed",
    "ImageTooLarge",
    "ImageUrlNotAllowed",
    "InvalidApiKey",
    "InvalidCredentials",
    "InvalidModelName",
    "InvalidQuery",
    "KeyNotFound",
    "LoadFailed",
    "MethodNotAllowed",
    "ModelInUse",
    "ModelLoading",
    "ModelNotFound",
    "ModelTooLarge",
    "NeverWithinLimit",
    "NoCapableModel",
    "NoRoom",
    "NoWeights",
    "NotFound",
    "NotRunning",
    "NothingToRun",
    "OriginNotAllowed",
    "OutOfMemory",
    "Overloaded",
    "PathNotAllowed",
    "PayloadTooLarge",
    "PermissionDenied",
    "PickledWeights",
    "PlanTooLarge",
    "PortTaken",
    "PreconditionFailed",
    "ProviderAway",
    "ProviderFailure",
    "ProviderNotFound",
    "ProviderRefused",
    "QueryTooComplex",
    "RegistryAway",
    "ReplicaLost",
    "ResponseNotFound",
    "RevisionNotFound",
    "SettingsError",
    "StaleCluster",
    "StartFailed",
    "StreamSessionNotFound",
    "TooManyAttempts",
    "Unavailable",
    "UnreadableImage",
    "UnreadableQuery",
    "UnsupportedDocument",
    "UnsupportedImage",
    "UnsupportedMediaType",
    "UnsupportedParameter",
    "UploadNotFound",
    "legacy_of",
]
