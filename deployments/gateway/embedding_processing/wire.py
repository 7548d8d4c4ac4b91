"""What `/api/v1/embeddings/process` takes, and its vectors as an array."""

import base64
import binascii
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cluster.errors import BadRequest
from cluster.settings.processing import ProcessingSettings
from cluster.stores.chat_metrics import CHAT
from deployments.gateway.wire import Wire

CHAT_ID = r"^[^\x00-\x1f\x7f]+$"

Part = Literal["centroid", "similarity", "duplicates", "projection", "embeddings"]
PARTS: tuple[Part, ...] = ("centroid", "similarity", "duplicates", "projection")


class ProcessBody(Wire):
    """Vectors or texts of a chat. Vectors: lists of numbers, or base64 of little-endian float32.

    chunk_size: vectors compared at once; None takes the setting, and less where memory is short. include: the parts
    of the answer; `embeddings` are the normalised vectors.
    """

    chat_id: str = Field(min_length=1, max_length=CHAT, pattern=CHAT_ID)
    embeddings: list[list[float] | str] | None = Field(None, min_length=1)
    texts: list[str] | None = Field(None, min_length=1)
    model: str | None = Field(None, min_length=1, description="that embeds the texts; None takes the only one")
    chunk_size: int | None = Field(None, ge=16, le=65_536)
    duplicate_threshold: float | None = Field(None, gt=-1, le=1)
    include: list[Part] = Field(list(PARTS))

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.embeddings is None) == (self.texts is None):
            raise ValueError("send either embeddings or texts")
        if self.model is not None and self.texts is None:
            raise ValueError("model is for texts: embeddings need none")
        return self


def array(given: list[list[float] | str], settings: ProcessingSettings) -> NDArray[np.float32]:
    """The vectors, shape (n, d). Raises BadRequest: too many, of different or too many dimensions, no base64."""
    check_count(len(given), settings, "embeddings")
    first = _row(given[0], 0)
    dimensions = len(first)
    if not 1 <= dimensions <= settings.max_dimensions:
        raise BadRequest(
            f"embeddings[0] has {dimensions} dimensions, and 1 to {settings.max_dimensions} are taken",
            param="embeddings[0]",
        )
    vectors = np.empty((len(given), dimensions), dtype=np.float32)
    for place, one in enumerate(given):
        row = first if place == 0 else _row(one, place)
        if len(row) != dimensions:
            raise BadRequest(
                f"embeddings[{place}] has {len(row)} dimensions, and embeddings[0] has {dimensions}",
                hint="send vectors of one model",
                param=f"embeddings[{place}]",
            )
        with np.errstate(over="ignore"):  # what does not fit into float32 is infinite, and refused as such
            vectors[place] = row
    return vectors


def check_count(count: int, settings: ProcessingSettings, param: str) -> None:
    """Raises BadRequest for more than are compared at once."""
    if count > settings.max_vectors:
        raise BadRequest(
            f"{count} {param} are over the limit of {settings.max_vectors}",
            hint="send them in several requests, or raise processing.max_vectors",
            param=param,
        )


def _row(given: list[float] | str, place: int) -> list[float] | NDArray[np.float32]:
    if not isinstance(given, str):
        return given
    try:
        raw = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raw = b"?"
    if not raw or len(raw) % 4:
        raise BadRequest(
            f"embeddings[{place}] is no base64 of float32 numbers",
            hint="little-endian, 4 bytes a number, as encoding_format base64 gives them",
            param=f"embeddings[{place}]",
        )
    return np.frombuffer(raw, dtype="<f4")
