"""Models as things to have: their names, their files, and the registry that they come from."""

from cluster.errors.access import PermissionDenied
from cluster.errors.base import HeliostatError
from cluster.errors.capacity import Unavailable
from cluster.errors.requests import BadRequest, Conflict, NotFound


class InvalidModelName(BadRequest):
    """A name that no model can have, such as one that leads out of its folder."""

    code = "invalid_model_name"


class PickledWeights(BadRequest):
    """A model whose weights are pickled, which can run any code, and whose entry does not allow that."""

    code, legacy = "pickled_weights", "HF_MODEL_LOAD_FAILED"


class GatedModel(PermissionDenied):
    """A model whose registry wants to know who asks, or its terms accepted."""

    code = "gated_model"


class ModelNotFound(NotFound):
    """No model of that name is served here."""

    code, legacy = "model_not_found", "HF_MODEL_NOT_FOUND"


class RevisionNotFound(ModelNotFound):
    """The model exists, that revision of it does not."""

    code = "model_revision_not_found"


class ModelInUse(Conflict):
    """A model that the running cluster serves."""

    code = "model_in_use"


class BrokenModel(HeliostatError):
    """A model's files cannot be what they should be; another try meets the same files."""

    code, legacy = "broken_model", "HF_MODEL_LOAD_FAILED"


class NoWeights(BrokenModel):
    """A model without weights that an engine here reads."""

    code = "no_weights"


class RegistryAway(Unavailable):
    """Where models come from does not answer, or wants to be asked later."""

    code = "registry_unavailable"


class HashMismatch(Unavailable):
    """What arrived is not what the registry said it would be; it was thrown away."""

    code = "hash_mismatch"
