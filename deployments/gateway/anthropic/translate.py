"""Anthropic's requests as `chat.completion` requests, and errors about these in the words of those."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster.errors import BadRequest, HeliostatError, UnsupportedParameter
from deployments.gateway.anthropic.wire import (
    AssistantMessage,
    CountRequest,
    ImageBlock,
    MessagesRequest,
    SystemMessage,
    TextBlock,
    Tool,
    ToolChoice,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

GO_ON = {"add_generation_prompt": False, "continue_final_message": True}  # vLLM's, for an answer that is begun
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
NAMES = {
    "stop": "stop_sequences",
    "user": "metadata.user_id",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "response_format": "output_config.format",
    "max_completion_tokens": "max_tokens",
}
MESSAGE = re.compile(r"messages(?:\[(\d+)\]|\.(\d+))(.*)")
PART = re.compile(r"(?:\.content\[(\d+)\]|\.content\.(\d+))")
TOOL = re.compile(r"(tools\[\d+\])\.function\.")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A conversation in OpenAI's shape. places: where each message, and each part of one, stood in Anthropic's."""

    messages: list[Json] = field(default_factory=list)
    places: dict[tuple[int, int | None], str] = field(default_factory=dict)

    def add(self, message: Json, place: str, parts: Sequence[str] = ()) -> None:
        """Append a message that stood at a place, its parts at theirs."""
        at = len(self.messages)
        self.messages.append(message)
        self.places[at, None] = place
        self.places.update({(at, number): part for number, part in enumerate(parts)})

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Errors of the block name what the client sent: their `param` is renamed, and said in the message."""
        try:
            yield
        except HeliostatError as error:
            if error.param in GO_ON:
                raise UnsupportedParameter(
                    "This model does not go on with an answer that is begun for it",
                    hint="end with a message of the user",
                    param=self.places[len(self.messages) - 1, None],
                ) from error
            error.param = self._renamed(error.param)
            raise

    def _renamed(self, param: str | None) -> str | None:
        if param is None:
            return None
        found = MESSAGE.match(param)
        if found is None:
            return NAMES.get(param) or TOOL.sub(r"\1.", param).replace("].parameters", "].input_schema")
        number = int(found[1] or found[2])
        part = PART.match(found[3])
        place = self.places.get((number, int(part[1] or part[2]))) if part else None
        return place or self.places.get((number, None), "messages")


def chat_body(wanted: MessagesRequest, prompt: Prompt) -> bytes:
    """The `chat.completion` request that asks for the same."""
    body = {
        "model": wanted.model,
        "messages": prompt.messages,
        "max_tokens": wanted.max_tokens,
        "temperature": wanted.temperature,
        "top_p": wanted.top_p,
        "top_k": wanted.top_k,
        "stop": wanted.stop_sequences or None,
        "user": wanted.metadata.user_id if wanted.metadata else None,
        "stream": wanted.stream,
        "stream_options": {"include_usage": True} if wanted.stream else None,
        **prompt_fields(wanted),
    }
    return json.dumps({name: value for name, value in body.items() if value is not None}).encode()


def prompt_fields(wanted: CountRequest) -> Json:
    """The fields beside the messages that become part of what the model reads, or bind its answer."""
    fields: Json = {}
    if wanted.tools:
        fields["tools"] = [_tool(tool) for tool in wanted.tools]
        if wanted.tool_choice is not None:
            fields |= _choice(wanted.tool_choice)
    if isinstance(wanted.messages[-1], AssistantMessage):
        fields |= GO_ON
    if wanted.output_config is not None and wanted.output_config.format is not None:
        schema = {"name": "answer", "schema": wanted.output_config.format.schema_, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def prompt_of(wanted: CountRequest) -> Prompt:
    """The conversation, system prompt first.

    Tool results become messages of role `tool`; pictures in them stand in the user's message that follows, as no
    other kind of message shows any. Raises BadRequest for a result of a call that was not made.
    """
    prompt = Prompt()
    if wanted.system:
        prompt.add({"role": "system", "content": _texts(wanted.system)}, "system")
    called: set[str] = set()
    for number, message in enumerate(wanted.messages):
        place = f"messages[{number}]"
        if isinstance(message, UserMessage):
            _add_user(prompt, message, place, called)
            called = set()
        elif isinstance(message, SystemMessage):
            prompt.add({"role": "system", "content": _texts(message.content)}, place)
        else:
            called = _add_assistant(prompt, message, place)
    if isinstance(wanted.messages[-1], AssistantMessage):
        _check_begun(prompt.messages[-1], f"messages[{len(wanted.messages) - 1}]")
    return prompt


def _check_begun(last: Json, place: str) -> None:
    """Raise for an assistant's last message that the model cannot go on with."""
    if "tool_calls" in last:
        raise BadRequest("The last message calls tools", hint="send their results after it", param=place)
    if last["content"] != last["content"].rstrip():
        raise BadRequest("The answer that is begun for the model ends with white space", param=place)


def _add_user(prompt: Prompt, message: UserMessage, place: str, called: set[str]) -> None:
    if isinstance(message.content, str):
        prompt.add({"role": "user", "content": message.content}, place)
        return
    parts: list[tuple[Json, str]] = []

    def close() -> None:
        if parts:
            content = [part for part, _ in parts]
            prompt.add({"role": "user", "content": content}, place, [where for _, where in parts])
            parts.clear()

    shown: list[tuple[Json, str]] = []  # by tools: after the last of their results, which belong together
    for number, block in enumerate(message.content):
        where = f"{place}.content[{number}]"
        if isinstance(block, ToolResultBlock):
            if block.tool_use_id not in called:
                raise BadRequest(
                    f"{block.tool_use_id[:64]!r} is no tool_use of the message before",
                    param=f"{where}.tool_use_id",
                )
            close()
            prompt.add(_result(block), where)
            shown += _shown(block, where)
        else:
            parts += shown
            shown = []
            parts.append((_part(block), where))
    parts += shown
    close()


def _add_assistant(prompt: Prompt, message: AssistantMessage, place: str) -> set[str]:
    """Append what the model said; the ids of its calls."""
    if isinstance(message.content, str):
        prompt.add({"role": "assistant", "content": message.content}, place)
        return set()
    text = "".join(block.text for block in message.content if isinstance(block, TextBlock))
    calls = [block for block in message.content if isinstance(block, ToolUseBlock)]
    said: Json = {"role": "assistant", "content": text or None}
    if calls:
        said["tool_calls"] = [_call(block) for block in calls]
    prompt.add(said, place)
    return {block.id for block in calls}


def _result(block: ToolResultBlock) -> Json:
    content = block.content or ""
    texts = content if isinstance(content, str) else "\n".join(b.text for b in content if isinstance(b, TextBlock))
    if block.is_error:
        texts = f"Error: {texts}" if texts else "Error"
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": texts}


def _shown(block: ToolResultBlock, where: str) -> list[tuple[Json, str]]:
    """The pictures of a tool's result."""
    if block.content is None or isinstance(block.content, str):
        return []
    return [
        (_part(inner), f"{where}.content[{number}]")
        for number, inner in enumerate(block.content)
        if isinstance(inner, ImageBlock)
    ]


def _part(block: TextBlock | ImageBlock) -> Json:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    source = block.source
    url = source.url if source.type == "url" else f"data:{source.media_type};base64,{source.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _texts(content: str | list[TextBlock]) -> str | list[Json]:
    return content if isinstance(content, str) else [_part(block) for block in content]


def _call(block: ToolUseBlock) -> Json:
    arguments = json.dumps(block.input, ensure_ascii=False)
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _tool(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.input_schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> Json:
    named = {"type": "function", "function": {"name": choice.name}}
    fields: Json = {"tool_choice": named if choice.type == "tool" else CHOICES[choice.type]}
    if choice.disable_parallel_tool_use is not None:
        fields["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return fields
