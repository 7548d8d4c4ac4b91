"""A parameter is honoured, or the request is refused with its name: none is accepted and ignored."""

from cluster.errors import UnsupportedParameter
from cluster.types import ModelCard
from deployments.gateway.wire import INSTEAD, STRUCTURE, CompletionRequest, GenerationRequest


def refuse_completion(wanted: CompletionRequest, card: ModelCard) -> None:
    """Raises UnsupportedParameter for a model that takes no raw prompts, or does not honour all that is sent."""
    if not card.capabilities.completion:
        hint = "POST /v1/chat/completions"
        raise UnsupportedParameter(f"{wanted.model} takes no raw prompts", hint=hint, param="prompt")
    refuse_unhonoured(wanted, card.capabilities.completion)


def refuse_unhonoured(wanted: GenerationRequest, honoured: frozenset[str]) -> None:
    """Raises UnsupportedParameter for the first, by name, that is sent and not honoured."""
    sent = {name for name in wanted.model_fields_set if getattr(wanted, name) is not None}
    refused = sorted(sent - STRUCTURE - honoured)
    if refused:
        hint = INSTEAD.get(refused[0], "remove the parameter")
        raise UnsupportedParameter(f"{wanted.model} does not honour {refused[0]}", hint=hint, param=refused[0])
