"""How a model samples where a request does not say."""

from pydantic import Field

from cluster.settings.strict import Strict


class GenerationDefaults(Strict):
    """How a model samples where a request says nothing; None leaves it to the model's generation_config.json."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, description="0 is all tokens")
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, gt=0, le=10)

    @property
    def said(self) -> dict[str, float]:
        """What is not left to others."""
        return self.model_dump(exclude_none=True)
