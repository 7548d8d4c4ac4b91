"""The base of all settings."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of all settings: frozen, and no key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
