"""The held-out tasks that spark-chat is measured by: other names, other words, other seeds than the training's."""

import json
from collections.abc import Callable
from random import Random

from pipelines.training.chat.about import ABOUT, about
from pipelines.training.chat.grounded import Shape, ground
from pipelines.training.chat.instructions import (
    CATEGORIES,
    add,
    echo,
    enumerate_items,
    json_object,
    json_of_text,
    one_word,
)
from pipelines.training.chat.stories import COUNTS, depict_in_sentences
from pipelines.training.chat.tools import leave_tools, offered_tools, request_tool, say_result
from pipelines.training.chat.unseen import ground_unseen
from pipelines.training.prompts import ABSTENTION, Dialogue
from pipelines.training.tasks import Example, Message, Task, exactly, text_of

_LONG = 160  # tokens that an answer of several sentences may take


def example_of(dialogue: Dialogue, *, max_tokens: int | None = None) -> Example:
    """A dialogue whose last turn is asked for; its system message and all turns before are sent."""
    sent = tuple({"role": message.role, "content": message.content} for message in dialogue.messages[:-1])
    example = Example(messages=sent, expected=dialogue.answer)
    return (
        example if max_tokens is None else Example(messages=sent, expected=dialogue.answer, max_tokens=max_tokens)
    )


def known_answer(example: Example, reply: Message) -> bool:
    """Judge that the reply is one of the answers to the question's topic."""
    return any(example.question in questions and text_of(reply) in answers for questions, answers in ABOUT)


def object_with_keys(example: Example, reply: Message) -> bool:
    """Judge that the reply is a JSON object with exactly the wanted keys."""
    try:
        parsed = json.loads(text_of(reply))
    except json.JSONDecodeError:
        return False
    return isinstance(parsed, dict) and parsed.keys() == json.loads(example.expected).keys()


def same_object(example: Example, reply: Message) -> bool:
    """Judge that the reply is the wanted JSON object, its values included."""
    return object_with_keys(example, reply) and bool(json.loads(text_of(reply)) == json.loads(example.expected))


def list_of_as_many(example: Example, reply: Message) -> bool:
    """Judge that the reply has as many different numbered items as wanted, all of the category."""
    lines = text_of(reply).split("\n")
    items = [line.partition(". ")[2].lower() for line in lines]
    wanted = [line.partition(". ")[2].lower() for line in example.expected.split("\n")]
    category = next(words for _, words in _named() if wanted[0] in words and wanted[1] in words)
    numbered = all(line.startswith(f"{number}. ") for number, line in enumerate(lines, start=1))
    return numbered and len(items) == len(wanted) == len(set(items)) and set(items) <= category


def single_word_of_category(example: Example, reply: Message) -> bool:
    """Judge that the reply is one word of the category asked for."""
    word = text_of(reply).rstrip(".").lower()
    asked = f" {example.question.replace('.', ' ').lower()} "
    return any(f" {name} " in asked and word in words for name, words in _named())


def as_many_sentences(example: Example, reply: Message) -> bool:
    """Judge that the reply has as many sentences as the request asks for, all different."""
    sentences = text_of(reply).removesuffix(".").split(". ")
    wanted = next(
        number for number, word in enumerate(COUNTS, start=1) if f" {word} " in f" {example.question} ".lower()
    )
    return len(sentences) == len(set(sentences)) == wanted and text_of(reply).endswith(".")


def right_call(example: Example, reply: Message) -> bool:
    """Judge that the reply is one call of the right function with the right arguments."""
    calls = reply.get("tool_calls") or []
    if len(calls) != 1 or calls[0]["function"]["name"] != example.known["name"]:
        return False
    try:
        return bool(json.loads(calls[0]["function"]["arguments"]) == example.known["arguments"])
    except json.JSONDecodeError:
        return False


def no_call(example: Example, reply: Message) -> bool:
    """Judge that the reply is text, and calls nothing."""
    del example
    return not reply.get("tool_calls") and bool(text_of(reply).strip())


def grounded(
    facts: int, passages: int, *, abstain: float = 0.0, markdown: bool = False, other: bool = False
) -> Callable[[Random], Example]:
    """Return a drawing of single questions about as many sentences, in as many passages at most."""
    shape = Shape(
        facts=facts, passages=passages, follow_ups=0, abstain=abstain, markdown=markdown, other_form=float(other)
    )
    return lambda rng: example_of(ground(rng, shape, "eval"))


def tool_request(rng: Random) -> Example:
    """Draw a request for one of several tools."""
    dialogue, tools, values = request_tool(rng, "eval")
    system = dialogue.messages[0].content.partition("Tools:\n")[0].strip()
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": dialogue.messages[1].content})
    return Example(
        messages=tuple(messages),
        expected=dialogue.answer,
        tools=tuple(tool.schema for tool in rng.sample(tools, len(tools))),
        known={"name": tools[0].name, "arguments": values},
    )


def tool_result(rng: Random) -> Example:
    """Draw a conversation in which a tool has been called and its result is to be said."""
    dialogue, tools, values = say_result(rng, "eval")
    call = {"name": tools[0].name, "arguments": json.dumps(values, ensure_ascii=False)}
    messages = (
        {"role": "user", "content": dialogue.messages[1].content},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call-1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call-1", "content": dialogue.messages[3].content},
    )
    return Example(messages=messages, expected=dialogue.answer, tools=tuple(tool.schema for tool in tools))


def tool_unneeded(rng: Random) -> Example:
    """Draw plain talk to which tools are offered."""
    dialogue = leave_tools(rng, "eval")
    asked = {"role": "user", "content": dialogue.messages[1].content}
    return Example(messages=(asked,), expected="", tools=tuple(tool.schema for tool in offered_tools(rng, "eval")))


def _named() -> list[tuple[str, set[str]]]:
    return [(name, {word.lower() for word in words}) for name, words in CATEGORIES.items()]


def _of(make: Callable[[Random], Dialogue], *, max_tokens: int | None = None) -> Callable[[Random], Example]:
    return lambda rng: example_of(make(rng), max_tokens=max_tokens)


TASKS = (
    Task(name="grounded answer, 1 sentence", draw=grounded(1, 1), right=exactly),
    Task(name="grounded answer, 3 sentences", draw=grounded(3, 3), right=exactly),
    Task(name="grounded answer, 5 sentences", draw=grounded(5, 5), right=exactly, target=0.85),
    Task(name="grounded answer, 10 sentences, Markdown", draw=grounded(10, 5, markdown=True), right=exactly),
    Task(name="grounded answer, 5 sentences, other prompts", draw=grounded(5, 5, other=True), right=exactly),
    Task(name="grounded answer, 3 sentences in wordings never trained on", draw=_of(ground_unseen), right=exactly),
    Task(
        name=f'abstention ("{ABSTENTION}"), 5 sentences',
        draw=grounded(5, 5, abstain=1.0),
        right=exactly,
        target=0.8,
    ),
    Task(
        name="JSON object with exactly the keys asked for",
        draw=_of(lambda rng: json_object(rng, "eval")),
        right=object_with_keys,
        target=0.9,
    ),
    Task(
        name="JSON object with the values of a text",
        draw=_of(lambda rng: json_of_text(rng, "eval")),
        right=same_object,
    ),
    Task(name="tool call: function and arguments", draw=tool_request, right=right_call, target=0.85),
    Task(name="tool result said", draw=tool_result, right=exactly),
    Task(name="no tool call where none is needed", draw=tool_unneeded, right=no_call),
    Task(name="repeating up to 8 words", draw=_of(lambda rng: echo(rng, "eval", 8)), right=exactly),
    Task(name="list of as many items as asked for", draw=_of(enumerate_items), right=list_of_as_many),
    Task(
        name="as many sentences as asked for",
        draw=_of(depict_in_sentences, max_tokens=_LONG),
        right=as_many_sentences,
    ),
    Task(name="one word of the category asked for", draw=_of(one_word), right=single_word_of_category),
    Task(
        name="about Heliostat and itself, unseen wording",
        draw=_of(lambda rng: about(rng, held_out=True)),
        right=known_answer,
    ),
    Task(name="sum below twenty (all sums are in the training data)", draw=_of(add), right=exactly),
)
