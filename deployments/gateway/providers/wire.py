"""What the routes of providers accept."""

from typing import Annotated, Any

from pydantic import Field

from deployments.gateway.wire import Penalty, Seed, Stop, Tokens, Wire

ModelName = Annotated[str, Field(min_length=1, max_length=256)]
ProviderName = Annotated[str, Field(min_length=1, max_length=64)]
ASKING = frozenset({"prompt", "model", "provider", "system_prompt"})


class SwitchRequest(Wire):
    """Body of `POST /api/llm/provider/switch`.

    provider: `auto`, or null, takes an earlier choice back. model: of the provider; none leaves that to `auto`.
    """

    provider: ProviderName | None
    model: ModelName | None = None


class GenerateRequest(Wire):
    """Body of `POST /api/v1/models/generate`: a prompt, and chat's generation parameters.

    model: none, or `auto`, takes one that can do it: of `provider`, else of the provider that was switched to.
    """

    prompt: Annotated[str, Field(min_length=1)]
    model: ModelName | None = None
    provider: ProviderName | None = None
    system_prompt: Annotated[str, Field(min_length=1)] | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: Seed | None = None

    def chat(self, model: str) -> dict[str, Any]:
        """The same as the body of a chat completion."""
        messages = [] if self.system_prompt is None else [{"role": "system", "content": self.system_prompt}]
        messages.append({"role": "user", "content": self.prompt})
        parameters = {name: getattr(self, name) for name in self.model_fields_set - ASKING}
        sent = {name: value for name, value in parameters.items() if value is not None}
        return {"model": model, "messages": messages, **sent}
