"""Where durable things live."""

from typing import Literal

from pydantic import Field, model_validator

from cluster.settings.strict import Strict


class VectorSettings(Strict):
    """The vector store: `embedded` (one owner process), `server` (a Chroma server) or `memory` (the fake)."""

    kind: Literal["embedded", "server", "memory"] = "embedded"
    url: str | None = Field(None, description="http://host:port of the Chroma server")
    cpus: float = Field(0.1, gt=0)
    in_memory: int = Field(
        200_000, ge=0, description="chunks that searches keep in memory: words, and vectors for filters; 3 KB each"
    )

    @model_validator(mode="after")
    def _url_of_server(self) -> "VectorSettings":
        if (self.kind == "server") != (self.url is not None):
            raise ValueError("url goes with kind: server, and kind: server needs a url")
        return self


class StoreSettings(Strict):
    """Where durable things live. database: an SQLAlchemy URL; None is SQLite under the home."""

    vectors: VectorSettings = VectorSettings()
    database: str | None = None
    redis: str | None = Field(None, description="redis:// URL: Ray keeps its state there, past its head")
