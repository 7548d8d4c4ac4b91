"""What runs over many rows: documents and sweeps."""

from pydantic import Field, model_validator

from cluster.settings.strict import Strict


class DocumentSettings(Strict):
    """Ingest and retrieval. Sizes of chunks in the embedder's tokens."""

    collection: str = Field("documents", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,510}[A-Za-z0-9]$")
    chunk_tokens: int = Field(128, ge=16)
    chunk_overlap: int = Field(16, ge=0)
    max_file_bytes: int = Field(64 * 1024**2, ge=1)
    inline_bytes: int = Field(
        512 * 1024, ge=0, description="uploads up to this are stored at once, larger by a job"
    )
    max_pages: int = Field(5000, ge=1)
    max_rows: int = Field(100_000, ge=1, description="rows of one CSV or JSONL file; each becomes a chunk")
    max_characters: int = Field(64 * 1024**2, ge=1, description="characters of text that one file may hold")
    max_unpacked_bytes: int = Field(256 * 1024**2, ge=1, description="that one Word file may unpack to")
    parse_timeout_s: float = Field(60.0, gt=0, description="of one document; its parser is killed after it")
    parse_memory_bytes: int = Field(2 * 1024**3, ge=256 * 1024**2, description="of one document's parser")
    parse_workers: int = Field(2, ge=1, le=64, description="documents that one process parses at once")
    folders: tuple[str, ...] = Field((".",), description="folders that `ingest` may read")
    passages: int = Field(4, ge=1, le=100, description="passages an answer is made from")
    min_score: float = Field(
        0.3, ge=-1, le=1, description="passages of less evidence, a cosine corrected by words, make no answer"
    )
    answer_model: str | None = Field(None, description="None takes the first chat model")
    answer_tokens: int = Field(96, ge=1)
    workers: int = Field(1, ge=1, description="embedding actors of an ingest job")
    worker_cpus: float = Field(0.5, gt=0)
    served_bytes: int = Field(
        4 * 1024**2,
        ge=0,
        description="files up to this in all are ingested with the served embedder, more with workers",
    )
    embedding_cache_mib: int = Field(
        1024, ge=0, description="vectors of texts that were embedded before, under the home; 0 keeps none"
    )

    @model_validator(mode="after")
    def _overlap_below_size(self) -> "DocumentSettings":
        if self.chunk_overlap >= self.chunk_tokens:
            raise ValueError(
                f"chunk_overlap ({self.chunk_overlap}) must be below chunk_tokens ({self.chunk_tokens})"
            )
        return self


class SweepSettings(Strict):
    """Sweeps. in_flight: cells of one sweep that wait on a model at once, over all workers."""

    max_cells: int = Field(1_000_000, ge=1)
    in_flight: int = Field(8, ge=1, le=4096)
    beside_people: int | None = Field(
        None, ge=1, description="the same, while people use the model; None: a quarter of in_flight, but 8 or more"
    )
    workers: int = Field(1, ge=1)
    worker_cpus: float = Field(0.25, gt=0)
    block_cells: int = Field(32, ge=1, description="cells that become one Parquet file at most")
    cell_timeout_s: float = Field(300.0, gt=0)
    retries: int = Field(2, ge=0, description="tries again of a cell whose error a retry can help")

    @property
    def width_beside_people(self) -> int:
        """Cells in flight while people use the model, over all workers."""
        few = max(8, self.in_flight // 4) if self.beside_people is None else self.beside_people
        return min(self.in_flight, few)
