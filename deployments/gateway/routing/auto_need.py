"""What a request asks of its model, and what its sender is told where no model can do that. Pure."""

from cluster.errors import ContextTooLong, HeliostatError, ModelNotFound, NoCapableModel
from deployments.gateway.limits import usage
from deployments.gateway.routing.auto_policy import Choice, Lack, Need
from deployments.gateway.wire import STRUCTURE, ChatRequest, CompletionRequest

NAMED = 5  # models that an error names
PARAMS = {Lack.PICTURES: "messages", Lack.TOOLS: "tools", Lack.SCHEMA: "response_format", Lack.RAW: "prompt"}
NOBODY = {
    Lack.PICTURES: "sees pictures",
    Lack.TOOLS: "calls functions",
    Lack.SCHEMA: "writes JSON by a schema",
    Lack.RAW: "takes raw prompts",
    Lack.CONTEXT: "reads that much",
    Lack.LOADED: "is loaded",
}


def need_of(wanted: ChatRequest | CompletionRequest) -> Need:
    """What a request asks of its model."""
    sent = {name for name in wanted.model_fields_set if getattr(wanted, name) is not None}
    if isinstance(wanted, CompletionRequest):
        total = usage.of_completion(wanted).total(1)
        return Need(parameters=frozenset(sent - STRUCTURE - {"prompt"}), tokens=total, raw=True)
    # What a picture takes differs from model to model by far: only words are counted.
    total = usage.of_chat(wanted).total(1) - wanted.pictures * usage.IMAGE_TOKENS
    return Need(images=wanted.has_images, parameters=frozenset(sent - STRUCTURE), tokens=total)


def nobody(need: Need, choice: Choice, only: str | None) -> HeliostatError:
    """The error of a request that no candidate can answer, which names what none of them can."""
    where = "here" if only is None else f"of the provider {only}"
    verdicts = choice.verdicts
    if not verdicts:
        return ModelNotFound(f"There is no chat model {where} to choose", hint="name a model", param="model")
    named = ", ".join(one.name for one in verdicts[:NAMED]) + (", …" if len(verdicts) > NAMED else "")
    lacks = {one.lacks for one in verdicts}
    if len(lacks) > 1:
        each = "; ".join(f"{one.name}: {one.passed_over}" for one in verdicts[:NAMED])
        return NoCapableModel(
            f"No model {where} does all that is asked: {each}", hint="name a model", param="model"
        )
    lack = verdicts[0].lacks
    if lack is Lack.CONTEXT:
        message = f"No model {where} reads about {need.tokens} tokens: {named}"
        return ContextTooLong(message, hint="shorten the messages or lower max_tokens", param="messages")
    if lack is None or lack is Lack.PARAMETER:
        missing = str(verdicts[0].passed_over).rpartition(" ")[2]
        return NoCapableModel(f"No model {where} honours {missing}: {named}", hint="leave it out", param=missing)
    return NoCapableModel(
        f"No model {where} {NOBODY[lack]}: {named}", hint="name another model", param=PARAMS.get(lack, "model")
    )
