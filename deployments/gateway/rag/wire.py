"""What the routes of `/api/v1/rag` accept."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from deployments.gateway.wire import Label, Penalty, Seed, Stop, Tokens, Wire

MAX_PASSAGES = 100
MAX_QUERY = 8192  # characters: several times what an embedder reads
MAX_TAGS = 64
MAX_WEIGHT = 100.0  # against the other leg's: beyond it the other decides between equals alone

Name = Annotated[str, Field(min_length=1, max_length=512)]
ModelName = Annotated[str, Field(min_length=1, max_length=256)]


class Weights(Wire):
    """How much each leg of a hybrid search counts."""

    dense: Annotated[float, Field(gt=0, le=MAX_WEIGHT)] = 1.0
    bm25: Annotated[float, Field(gt=0, le=MAX_WEIGHT)] = 1.0


class SearchRequest(Wire):
    """Body of `POST /api/v1/rag/search`.

    limit: None takes documents.passages. collection: a name or an id; None is the shared one. where (or `filters`):
    on metadata and tags, as at OpenAI's vector stores. tags: only of documents that have all of them. rerank: a
    model that puts what was found into its own order. min_score: passages whose `evidence` is less are left out.
    """

    query: str = Field(min_length=1, max_length=MAX_QUERY)
    limit: int | None = Field(None, ge=1, le=MAX_PASSAGES, description="None: documents.passages")
    collection: Name | None = None
    mode: Literal["dense", "bm25", "hybrid"] | None = Field(None, description="None: hybrid")
    where: dict[str, Any] | None = None
    filters: dict[str, Any] | None = Field(None, description="Another name of `where`")
    tags: Annotated[list[Name], Field(min_length=1, max_length=MAX_TAGS)] | None = None
    diversity: Annotated[float, Field(ge=0, le=1)] | None = None
    per_document: Annotated[int, Field(ge=1, le=MAX_PASSAGES)] | None = None
    weights: Weights | None = Field(None, description="Of a hybrid search's legs; None: 1 and 1")
    rerank: ModelName | None = None
    min_score: Annotated[float, Field(ge=-1, le=2)] | None = None

    @model_validator(mode="after")
    def _one_filter(self) -> Self:
        if self.where is not None and self.filters is not None:
            raise ValueError("where and filters are two names of one thing: send one")
        return self


class QuestionRequest(SearchRequest):
    """Body of `POST /api/v1/rag/query`: what to answer, from which passages, and chat's generation parameters.

    model: all that chat takes, `auto` too; None takes documents.answer_model, or the first chat model. provider:
    only its models, of which None or `auto` is one that can do it. min_score: None takes documents.min_score.
    max_tokens: None takes documents.answer_tokens. temperature: None is 0. There is no top_k: elsewhere that is
    how many passages are wanted, which here is `limit`.
    """

    model: ModelName | None = None
    provider: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    stream: bool | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: Seed | None = None
    user: Label | None = None

    @property
    def generation(self) -> dict[str, Any]:
        """The generation parameters that were sent, as chat's body has them."""
        names = self.model_fields_set - SearchRequest.model_fields.keys() - {"model", "provider", "stream"}
        return {name: value for name in sorted(names) if (value := getattr(self, name)) is not None}
