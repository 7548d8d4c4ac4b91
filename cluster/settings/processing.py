"""How the embeddings of a chat are processed."""

from pydantic import Field

from cluster.settings.strict import Strict


class ProcessingSettings(Strict):
    """Bounds of `/api/v1/embeddings/process`, and what `/api/hpc-metrics` warns of."""

    chunk_vectors: int = Field(1024, ge=16, le=65_536, description="compared at once; fewer where memory is short")
    max_vectors: int = Field(10_000, ge=1, description="of one request: its time grows with their square")
    max_dimensions: int = Field(8192, ge=1)
    duplicate_cosine: float = Field(0.95, gt=-1, le=1, description="from which two are near-duplicates")
    max_duplicates: int = Field(1000, ge=0, description="shown; all are counted")
    gpus: float = Field(0.0, ge=0, description="of a GPU, reserved for each gateway to compare with")
    timeout_s: float = Field(120.0, gt=0)
    keep_s: float = Field(24 * 3600.0, gt=0, description="a chat's metrics, after it was last processed")
    warn_memory: float = Field(0.85, gt=0, le=1, description="share of the machine's memory in use")
    warn_ms: float = Field(10_000.0, gt=0, description="of one processing")
    poll_ms: int = Field(2000, ge=100, description="how often a display may ask for the metrics")
