"""The chat template, as Transformers and vLLM render it, is what the training renders."""

import json
from random import Random

import jinja2
import pytest

from pipelines.training.chat.tools import say_result
from pipelines.training.prompts import BEGIN, CHAT_TEMPLATE, TOOLS_TITLE, Message, render, turns

# As Transformers renders templates, and so vLLM.
ENVIRONMENT = jinja2.Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True)  # no HTML
ENVIRONMENT.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("reply", [True, False])
def test_the_template_renders_as_the_training_does(reply: bool) -> None:
    dialogue = turns("dialogue", "Hi", "Hello!", "And a tool?", system="Be kind.")
    messages = (*dialogue.messages, Message(role="tool", content="42"))
    as_dicts = [{"role": message.role, "content": message.content} for message in messages]
    template = ENVIRONMENT.from_string(CHAT_TEMPLATE)
    rendered = template.render(messages=as_dicts, bos_token=BEGIN, add_generation_prompt=reply)
    assert rendered == render(messages, reply=reply)


@pytest.mark.parametrize("seed", range(40))
def test_tools_their_calls_and_results_are_rendered_as_trained_on(seed: int) -> None:
    dialogue, tools, values = say_result(Random(seed))
    head = dialogue.messages[0].content
    system = head.partition(TOOLS_TITLE)[0].strip()
    shown = sorted(tools, key=lambda tool: head.index(f"\n{tool.name}("))
    call = {"type": "function", "function": {"name": tools[0].name, "arguments": values}}
    messages = [
        *([{"role": "system", "content": system}] if system else []),
        {"role": "user", "content": dialogue.messages[1].content},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": dialogue.messages[3].content},
        {"role": "assistant", "content": dialogue.answer},
    ]
    template = ENVIRONMENT.from_string(CHAT_TEMPLATE)
    rendered = template.render(messages=messages, tools=[tool.schema for tool in shown], bos_token=BEGIN)
    assert rendered == render(dialogue.messages)


def test_turns_alternate_and_begin_with_the_system_where_there_is_one() -> None:
    roles = [message.role for message in turns("dialogue", "a", "b", "c", "d", system="s").messages]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
