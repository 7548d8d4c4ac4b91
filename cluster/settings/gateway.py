"""The HTTP ingress: its replicas, who may ask, its streams and its cache."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cluster.settings.strict import Strict

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


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
    trusted_proxies: int = Field(0, ge=0, le=8, description="proxies of yours that add to X-Forwarded-For")
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


class SemanticSettings(Strict):
    """Answers to questions that are nearly the same: only their words differ, all else is equal (docs/api.md).

    threshold: the least cosine of the two questions' embeddings. max_bytes: of all owners' vectors in a gateway's
    own memory; in Redis, its `maxmemory` bounds them.
    """

    enabled: bool = False
    threshold: float = Field(0.95, ge=0.5, le=1)
    max_entries: int = Field(1000, ge=1, le=10_000, description="questions of each owner that are remembered")
    max_bytes: int = Field(64 * 1024**2, ge=1)


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
    semantic: SemanticSettings = SemanticSettings()

    @model_validator(mode="after")
    def _over_the_exact(self) -> "CacheSettings":
        if self.semantic.enabled and not self.enabled:
            raise ValueError("semantic.enabled needs enabled: its answers are those of the exact cache")
        return self
