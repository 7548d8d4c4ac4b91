"""Calls of functions: which one, with which arguments, and what to say of the result."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from pipelines.training.chat.dialogue import talk
from pipelines.training.chat.values import address, any_value, code, date, thing
from pipelines.training.chat.vocabulary import COLOURS, DAYS, FIRST_NAMES, Split, Vocabulary, words_of
from pipelines.training.chat.words import nouns, plural, verbs
from pipelines.training.prompts import Dialogue, Message, tool_call, tools_text

KIND = "tool"
Values = dict[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function and one way to ask for it. `arguments` maps names to JSON types."""

    name: str
    about: str
    arguments: dict[str, str]
    request: str  # with the arguments' names in braces

    @property
    def signature(self) -> tuple[str, list[str], str]:
        """The tool as the chat template shows it."""
        shown = [key if kind == "string" else f"{key}: {kind}" for key, kind in self.arguments.items()]
        return self.name, shown, self.about

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as an OpenAI client sends it."""
        properties = {key: {"type": kind} for key, kind in self.arguments.items()}
        parameters = {"type": "object", "properties": properties, "required": [*self.arguments]}
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.about, "parameters": parameters},
        }


_KNOWN: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "get_weather",
        "Get the weather of a city",
        "city",
        (
            "What is the weather in {city}?",
            "How is the weather in {city} today?",
            "Is it raining in {city}?",
            "Weather in {city}?",
            "Tell me the weather in {city}.",
        ),
    ),
    (
        "get_time",
        "Get the current time of a city",
        "city",
        ("What time is it in {city}?", "Tell me the time in {city}.", "How late is it in {city}?"),
    ),
    (
        "search_documents",
        "Search the documents",
        "query",
        ("Search the documents for {query}.", "Find {query} in the documents.", "Look up {query}."),
    ),
    ("search", "Search the web", "query", ("Search for {query}.", "Google {query}.", "Find {query} on the web.")),
    (
        "send_email",
        "Send an e-mail",
        "to subject",
        ("Send an email to {to} about {subject}.", "Write to {to} about {subject}.", "E-mail {to}: {subject}."),
    ),
    (
        "set_alarm",
        "Set an alarm",
        "time",
        ("Set an alarm for {time}.", "Wake me at {time}.", "I need an alarm at {time}."),
    ),
    (
        "add",
        "Add two numbers",
        "a:integer b:integer",
        ("Add {a} and {b}.", "What is {a} plus {b}?", "What is {a} + {b}?", "Use the tool to add {a} and {b}."),
    ),
    (
        "multiply",
        "Multiply two numbers",
        "a:integer b:integer",
        ("Multiply {a} by {b}.", "What is {a} times {b}?", "What is {a} * {b}?"),
    ),
    ("get_price", "Get the price of a product", "product", ("What does {product} cost?", "Price of {product}?")),
    (
        "get_stock_price",
        "Get the price of a share",
        "symbol",
        ("What is the stock price of {symbol}?", "How is {symbol} trading?"),
    ),
    (
        "turn_on",
        "Turn a device on",
        "device",
        ("Turn on {device}.", "Please switch on {device}.", "Turn {device} on."),
    ),
    (
        "turn_off",
        "Turn a device off",
        "device",
        ("Turn off {device}.", "Switch off {device}.", "Turn {device} off."),
    ),
    (
        "set_temperature",
        "Set the temperature of a room",
        "room degrees:integer",
        ("Set {room} to {degrees} degrees.", "Make it {degrees} degrees in {room}."),
    ),
    (
        "book_table",
        "Book a table at a restaurant",
        "restaurant people:integer",
        ("Book a table for {people} at {restaurant}.", "Reserve a table at {restaurant} for {people} people."),
    ),
    (
        "translate",
        "Translate a text",
        "text language",
        ("Translate {text} into {language}.", "How do you say {text} in {language}?"),
    ),
    ("load_model", "Load a model", "model", ("Load the model {model}.", "Load {model}.", "Please load {model}.")),
    (
        "get_user",
        "Get a user by id",
        "id:integer",
        ("Get the user {id}.", "Show me user {id}.", "Who is user {id}?"),
    ),
    ("play_song", "Play a song", "title", ("Play {title}.", "Play the song {title}.", "I want to hear {title}.")),
    (
        "create_event",
        "Create an event in the calendar",
        "title day",
        ("Put {title} in my calendar on {day}.", "Create the event {title} on {day}.", "Plan {title} for {day}."),
    ),
)
_LANGUAGES = words_of("French German Spanish Italian Polish Dutch Greek Danish Japanese Finnish")
_ROOMS = words_of("kitchen office bedroom hall cellar garage")


def call_tool(rng: Random, split: Split = "train") -> Dialogue:
    """Draw a request for one of one to four tools, the call, and often the result and what to say of it."""
    return (say_result if rng.random() < 0.4 else request_tool)(rng, split)[0]


def say_result(rng: Random, split: Split = "train") -> tuple[Dialogue, list[Tool], Values]:
    """Draw a request, its call, the result and the sentence that says it; tools and arguments as `request_tool`."""
    asked, tools, values = request_tool(rng, split)
    result = _result(Vocabulary(rng=rng, split=split), tools[0], values)
    return Dialogue(messages=(*asked.messages, *result), kind=KIND), tools, values


def request_tool(rng: Random, split: Split = "train") -> tuple[Dialogue, list[Tool], Values]:
    """Draw a request with its call; returned with the tools offered, the wanted one first, and its arguments."""
    vocabulary = Vocabulary(rng=rng, split=split)
    tools = _draw_tools(vocabulary)
    wanted = tools[0]
    values = {key: _value(vocabulary, key, kind) for key, kind in wanted.arguments.items()}
    request = wanted.request.format_map(values)
    system = rng.choice(("", "", "You are a helpful assistant.", "Use the tools where they help."))
    offered = tools_text([tool.signature for tool in rng.sample(tools, len(tools))], system)
    messages = (
        Message(role="system", content=offered),
        Message(role="user", content=request),
        Message(role="assistant", content=tool_call(wanted.name, values)),
    )
    return Dialogue(messages=messages, kind=KIND), tools, values


def leave_tools(rng: Random, split: Split = "train") -> Dialogue:
    """Draw plain talk where tools are offered and none is needed."""
    offered = tools_text([tool.signature for tool in offered_tools(rng, split)])
    spoken = [message for message in talk(rng, split).messages if message.role != "system"]
    return Dialogue(messages=(Message(role="system", content=offered), *spoken), kind=KIND)


def offered_tools(rng: Random, split: Split = "train") -> list[Tool]:
    """Draw one to four tools of different names."""
    return _draw_tools(Vocabulary(rng=rng, split=split))


def _draw_tools(vocabulary: Vocabulary) -> list[Tool]:
    """One to four tools of different names."""
    rng = vocabulary.rng
    found: dict[str, Tool] = {}
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        tool = _known(rng) if rng.random() < 0.45 else _invented(vocabulary)
        found[tool.name] = tool
    return [*found.values()]


def _known(rng: Random) -> Tool:
    name, about, arguments, requests = rng.choice(_KNOWN)
    pairs = (argument.partition(":") for argument in arguments.split())
    about = about if rng.random() < 0.8 else ""
    return Tool(
        name=name,
        about=f"{about}." if about and rng.random() < 0.5 else about,
        arguments={key: kind or "string" for key, _, kind in pairs},
        request=rng.choice(requests),
    )


def _invented(vocabulary: Vocabulary) -> Tool:
    """A tool of a verb and a noun, such as archive_invoice(number), asked for in these words."""
    rng = vocabulary.rng
    verb, noun = rng.choice(verbs(vocabulary.split)), rng.choice(nouns(vocabulary.split))
    key = rng.choice((*_TEXT_KEYS, *_NUMBER_KEYS, noun, rng.choice(nouns(vocabulary.split))))
    kind = "integer" if key in _NUMBER_KEYS else "string"
    forms: tuple[str, ...] = (
        "{V} the {n} {k}.",
        "Please {v} the {n} {k}.",
        "{V} {n} {k}.",
        "Can you {v} the {n} {k}?",
        "I want to {v} the {n} {k}.",
    )
    arguments = {key: kind}
    if rng.random() < 0.3:
        second = rng.choice([other for other in (*_TEXT_KEYS, *_NUMBER_KEYS) if other != key])
        arguments[second] = "integer" if second in _NUMBER_KEYS else "string"
        forms = tuple(f"{form[:-1]} with {second} {{{second}}}{form[-1]}" for form in forms)
    request = rng.choice(forms).replace("{V}", verb.capitalize()).replace("{v}", verb)
    about = rng.choice(("", f"{verb.capitalize()} a {noun}", f"{verb.capitalize()} the given {noun}."))
    name = rng.choice((f"{verb}_{noun}", f"{verb}_{noun}", f"{verb}{noun.capitalize()}"))
    return Tool(
        name=name,
        about=about,
        arguments=arguments,
        request=request.replace("{n}", noun).replace("{k}", f"{{{key}}}"),
    )


_TEXT_KEYS = ("name", "id", "code", "label", "path", "place", "user", "date", "item", "colour", "target")
_NUMBER_KEYS = ("number", "count", "size", "port", "limit", "amount", "level")


def _value(vocabulary: Vocabulary, key: str, kind: str) -> str | int:
    """A value that fits an argument's name."""
    if kind == "integer":
        return int(vocabulary.number(1, 3 if key in "ab" else 4))
    return _TEXTS.get(key, any_value)(vocabulary)


def _recipient(vocabulary: Vocabulary) -> str:
    return vocabulary.pick(FIRST_NAMES) if vocabulary.rng.random() < 0.5 else vocabulary.name()


def _clock(vocabulary: Vocabulary) -> str:
    return f"{vocabulary.rng.randint(0, 23)}:{vocabulary.rng.choice(('00', '15', '30', '45'))}"


def _symbol(vocabulary: Vocabulary) -> str:
    return "".join(vocabulary.rng.choice("ABCDEFGHKLMNPRSTVX") for _ in range(vocabulary.rng.randint(3, 4)))


def _query(vocabulary: Vocabulary) -> str:
    many = plural(vocabulary.rng.choice(nouns(vocabulary.split)))
    return vocabulary.rng.choice((many, vocabulary.name(), thing(vocabulary)))


_TEXTS: dict[str, Callable[[Vocabulary], str]] = {
    "city": Vocabulary.name,
    "place": Vocabulary.name,
    "name": Vocabulary.name,
    "user": Vocabulary.name,
    "to": _recipient,
    "id": code,
    "code": code,
    "path": address,
    "date": date,
    "day": lambda vocabulary: vocabulary.pick(DAYS),
    "time": _clock,
    "colour": lambda vocabulary: vocabulary.pick(COLOURS),
    "language": lambda vocabulary: vocabulary.pick(_LANGUAGES),
    "symbol": _symbol,
    "room": lambda vocabulary: f"the {vocabulary.pick(_ROOMS)}",
    "model": lambda vocabulary: f"{vocabulary.name().lower()}-{vocabulary.number(1, 2)}b",
    "query": _query,
}


def _result(vocabulary: Vocabulary, wanted: Tool, values: Values) -> list[Message]:
    """What the tool gave, and a sentence that says it."""
    rng = vocabulary.rng
    said: dict[str, str | int]
    if wanted.name == "get_weather":
        said = {
            "weather": rng.choice(("sunny", "rainy", "cloudy", "windy", "foggy")),
            "temperature": rng.randint(-9, 39),
        }
        answer = f"It is {said['weather']} in {values['city']}, at {said['temperature']} degrees."
    elif rng.random() < 0.25:
        said = {"status": "ok"}
        answer = "Done."
    else:
        key = rng.choice(("result", "value", "price", "time", rng.choice(nouns(vocabulary.split))))
        said = {key: any_value(vocabulary)}
        answer = f"The {key} is {said[key]}."
    return [
        Message(role="tool", content=json.dumps(said, ensure_ascii=False)),
        Message(role="assistant", content=answer),
    ]
