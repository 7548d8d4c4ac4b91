"""How many tokens a prompt is: counted by its model, in its own template."""

import json
from collections.abc import Mapping

from cluster.types import TokenizeCall
from deployments.clients import ChatModel
from deployments.gateway.anthropic.translate import GO_ON, Json, Prompt, prompt_fields
from deployments.gateway.anthropic.wire import CountRequest
from deployments.gateway.chats import Chats, CheckedChat

READ = ("messages", "tools", *GO_ON)  # what of a request becomes part of what the model reads


def count_body(wanted: CountRequest, prompt: Prompt) -> bytes:
    """The `chat.completion` request that has the prompt, and asks for as little as can be."""
    body: Json = {"model": wanted.model, "messages": prompt.messages, "max_tokens": 1, **prompt_fields(wanted)}
    return json.dumps(body).encode()


async def input_tokens(chat: CheckedChat, chats: Chats, models: Mapping[str, ChatModel]) -> int:
    """The tokens of a checked `count_body`.

    What a picture takes only the engine's own processor knows: such a prompt is read, and the answer thrown away.
    """
    if chat.wanted.has_images:
        completion = json.loads(await chats.whole(chat))
        return int(completion["usage"]["prompt_tokens"])
    asked = json.loads(chat.call.body)
    body = json.dumps({name: asked[name] for name in READ if name in asked}).encode()
    call = TokenizeCall(body=body, request_id=chat.call.request_id)
    async with chats.gate.count(chat.principal):
        return (await models[chat.wanted.model].tokenize(call)).count
