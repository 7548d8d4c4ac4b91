"""The base of what a spec is made of."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of specs: no unknown key, no coercion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())
