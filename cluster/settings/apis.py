"""What the APIs beside chat keep: responses, files, batches, conversations."""

from pydantic import Field

from cluster.settings.strict import Strict


class ResponseSettings(Strict):
    """Stored responses of /v1/responses."""

    keep_days: int = Field(30, ge=1, description="responses are stored this long")
    max_background: int = Field(64, ge=1, description="background responses at once in a gateway; past it 429")


class FileSettings(Strict):
    """Files of the OpenAI surface, kept under the home. Sizes in bytes."""

    max_bytes: int = Field(512 * 1024**2, ge=1, description="of one upload")
    max_owner_bytes: int = Field(20 * 1024**3, ge=1, description="of all that one owner keeps")


class BatchSettings(Strict):
    """OpenAI's batches. in_flight: lines of one batch that wait on a model at once."""

    max_lines: int = Field(50_000, ge=1)
    max_running: int = Field(2, ge=1, description="batches at once; each is a process, further ones wait")
    in_flight: int = Field(8, ge=1, le=4096)
    retries: int = Field(5, ge=0, description="tries again of a line whose error a retry can help")
    restarts: int = Field(3, ge=0, description="new jobs for a batch whose jobs die before they store a line")


class ConversationSettings(Strict):
    """Conversations, and the stream sessions that answer in them. model: None takes the first chat model."""

    model: str | None = Field(None, description="for conversations that name none; None: the first chat model")
    resume_grace_s: float = Field(
        30.0, ge=0, description="an answer that nobody reads goes on so long: time to find a network again"
    )
    flush_ms: int = Field(
        200, ge=5, le=1000, description="how often new text is stored and stop requests of others are seen"
    )
    lost_after_s: float = Field(
        15.0, gt=0, description="silence after which a gateway is dead; above the clocks' difference of two nodes"
    )
    shutdown_s: float = Field(5.0, ge=0, description="for storing the ends of running answers when a gateway stops")
    max_active: int = Field(16, ge=1, description="answers that one owner has running at once; past it 429")
    kept_sessions: int = Field(1000, ge=1, description="ended stream sessions of one owner; older ones are dropped")
    buffered_events: int = Field(1024, ge=8, description="of one answer in memory; who lags reads the database")
    answer_share: float = Field(
        0.25, gt=0, lt=1, description="of the context kept free for an answer whose length nobody limits"
    )
