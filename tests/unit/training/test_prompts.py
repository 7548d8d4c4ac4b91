"""The chat template, as Transformers and vLLM render it, is what the training renders."""

import jinja2
import pytest

from pipelines.training.prompts import BEGIN, CHAT_TEMPLATE, Message, render, turns


@pytest.mark.parametrize("reply", [True, False])
def test_the_template_renders_as_the_training_does(reply: bool) -> None:
    dialogue = turns("dialogue", "Hi", "Hello!", "And a tool?", system="Be kind.")
    messages = (*dialogue.messages, Message(role="tool", content="42"))
    as_dicts = [{"role": message.role, "content": message.content} for message in messages]
    template = jinja2.Environment(autoescape=False).from_string(CHAT_TEMPLATE)
    rendered = template.render(messages=as_dicts, bos_token=BEGIN, add_generation_prompt=reply)
    assert rendered == render(messages, reply=reply)


def test_turns_alternate_and_begin_with_the_system_where_there_is_one() -> None:
    roles = [message.role for message in turns("dialogue", "a", "b", "c", "d", system="s").messages]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
