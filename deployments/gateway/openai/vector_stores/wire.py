"""What the vector stores' routes accept: OpenAI's bodies."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from deployments.gateway.documents.labels import Metadata
from deployments.gateway.wire import Wire

MOST_FILES = 500  # of one request
MOST_QUERIES = 16
MOST_QUERY = 8192  # characters: several times what an embedder reads


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    return text


Stored = AfterValidator(_storable)
Name = Annotated[str, Field(max_length=256), Stored]
FileId = Annotated[str, Field(min_length=1, max_length=64)]
Notes = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64), Stored], Annotated[str, Field(max_length=512), Stored]],
    Field(max_length=16),
]
Query = Annotated[str, Field(min_length=1, max_length=MOST_QUERY)]


class ExpiresAfter(Wire):
    """When a store goes: days after its last use."""

    anchor: Literal["last_active_at"]
    days: int = Field(ge=1, le=365)


class StaticSizes(Wire):
    """Sizes in tokens."""

    max_chunk_size_tokens: int = Field(ge=16, le=4096)
    chunk_overlap_tokens: int = Field(ge=0)


class Chunking(Wire):
    """`auto`: chunks as this server cuts them; `static`: of a size, honoured where it is the same."""

    type: Literal["auto", "static"]
    static: StaticSizes | None = None

    @model_validator(mode="after")
    def _static_alone_has_sizes(self) -> Self:
        if (self.type == "static") != (self.static is not None):
            raise ValueError("static has sizes, in static; auto has none")
        return self


class StoreRequest(Wire):
    """Body of `POST /v1/vector_stores`."""

    name: Name | None = None
    description: Annotated[str, Field(max_length=1024), Stored] | None = None
    file_ids: Annotated[list[FileId], Field(max_length=MOST_FILES)] | None = None
    chunking_strategy: Chunking | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Notes | None = None


class StoreChange(Wire):
    """Body of `POST /v1/vector_stores/{id}`: what is left out stays."""

    name: Name | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Notes | None = None


class FileRequest(Wire):
    """Body of `POST /v1/vector_stores/{id}/files`, and one of a batch's `files`."""

    file_id: FileId
    attributes: Metadata | None = None
    chunking_strategy: Chunking | None = None


class FileChange(Wire):
    """Body of `POST /v1/vector_stores/{id}/files/{file_id}`."""

    attributes: Metadata | None


class FileBatchRequest(Wire):
    """Body of `POST /v1/vector_stores/{id}/file_batches`: ids with attributes of all, or files with their own."""

    file_ids: Annotated[list[FileId], Field(min_length=1, max_length=MOST_FILES)] | None = None
    files: Annotated[list[FileRequest], Field(min_length=1, max_length=MOST_FILES)] | None = None
    attributes: Metadata | None = None
    chunking_strategy: Chunking | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.file_ids is None) == (self.files is None):
            raise ValueError("send either file_ids or files")
        if self.files is not None and (self.attributes is not None or self.chunking_strategy is not None):
            raise ValueError("with files, attributes and chunking_strategy are each file's own")
        return self

    @property
    def wanted(self) -> list[FileRequest]:
        """Each file with what is said of it."""
        if self.files is not None:
            return self.files
        return [
            FileRequest(file_id=one, attributes=self.attributes, chunking_strategy=self.chunking_strategy)
            for one in self.file_ids or ()
        ]


class RankingOptions(Wire):
    """How results are ranked. ranker: `none` by meaning alone; otherwise meaning and words, fused."""

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None


class SearchRequest(Wire):
    """Body of `POST /v1/vector_stores/{id}/search`. rewrite_query: no query is rewritten here."""

    query: Query | Annotated[list[Query], Field(min_length=1, max_length=MOST_QUERIES)]
    filters: dict[str, Any] | None = None
    max_num_results: int | None = Field(None, ge=1, le=50)
    ranking_options: RankingOptions | None = None
    rewrite_query: Literal[False] | None = None
