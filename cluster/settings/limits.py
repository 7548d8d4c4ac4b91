"""What requests may cost."""

from typing import Literal

from pydantic import Field

from cluster.settings.strict import Strict


class RateSettings(Strict):
    """What each key or person may use where neither says anything; None is no limit. By minute, and at once.

    Several gateways count together in Redis; without it each counts by itself.
    """

    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    concurrent_requests: int | None = Field(None, ge=1)
    unsaid_answer_tokens: int = Field(
        256, ge=0, description="reserved for an answer whose length its request does not limit"
    )
    redis: str | None = Field(None, repr=False, description="redis:// URL that several gateways count in")
    redis_away: Literal["open", "closed"] = Field(
        "open", description="while Redis does not answer: requests go on unlimited, or get 503"
    )


class QueueSettings(Strict):
    """The fair queue in front of each model, in each gateway. How many may wait is the model's max_queued."""

    at_once: int | None = Field(
        None, ge=1, description="of a model's requests; None: max_ongoing of all its replicas, by gateway"
    )
    max_wait_ms: int = Field(60_000, ge=1, description="of an interactive request; past it 429")
    background_share: float = Field(0.75, gt=0, le=1, description="of the places that background work may take")


class LimitSettings(Strict):
    """What a request may cost. Sizes in bytes, times in milliseconds."""

    max_body_bytes: int = Field(32 * 1024**2, ge=1024)
    max_header_bytes: int = Field(32 * 1024, ge=1024, description="of all headers' names and values together")
    max_messages: int = Field(2048, ge=1)
    max_embedding_inputs: int = Field(2048, ge=1)
    max_embedding_characters: int = Field(4_000_000, ge=1, description="of one request's texts together")
    max_images: int = Field(16, ge=0, description="pictures of one request")
    max_image_bytes: int = Field(20 * 1024**2, ge=1, description="of one encoded picture")
    max_image_side: int = Field(4096, ge=1, description="pixels; a longer picture is scaled down to it")
    max_image_pixels: int = Field(40_000_000, ge=1, description="of one request's pictures together")
    image_urls: Literal["refused", "public"] = Field(
        "public", description="whether pictures are fetched from http(s) addresses that are not private"
    )
    image_hosts: tuple[str, ...] = Field(
        (), description="exact hosts that may be private, such as a store of yours"
    )
    image_ports: tuple[int, ...] = Field((80, 443), description="ports that pictures are fetched from")
    image_fetch_timeout_ms: int = Field(10_000, ge=1, description="of one picture, redirects included")
    generation_timeout_ms: int = Field(600_000, ge=1)
    rates: RateSettings = RateSettings()
    queue: QueueSettings = QueueSettings()
