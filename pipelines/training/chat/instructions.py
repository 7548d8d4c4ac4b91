"""Simple instructions whose outcome a program can check."""

import json
from random import Random

from pipelines.training.chat.stories import depict_in_sentences
from pipelines.training.chat.values import any_value
from pipelines.training.chat.vocabulary import (
    ANIMALS,
    COLOURS,
    DAYS,
    FIRST_NAMES,
    FOODS,
    INSTRUMENTS,
    JOBS,
    MATERIALS,
    MONTHS,
    OBJECTS,
    PLACES,
    Split,
    Vocabulary,
    with_article,
)
from pipelines.training.chat.words import nouns, plural
from pipelines.training.prompts import Dialogue, turns

CATEGORIES: dict[str, list[str]] = {
    "animal": ANIMALS,
    "colour": COLOURS,
    "food": FOODS,
    "job": JOBS,
    "material": MATERIALS,
    "instrument": INSTRUMENTS,
    "day": DAYS,
    "month": MONTHS,
    "place": PLACES,
    "object": OBJECTS,
}
COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5}

_KEYS: dict[str, list[str]] = {
    "name": FIRST_NAMES,
    "colour": COLOURS,
    "animal": ANIMALS,
    "food": FOODS,
    "job": JOBS,
    "day": DAYS,
    "month": MONTHS,
    "place": PLACES,
    "material": MATERIALS,
    "title": OBJECTS,
    "tool": OBJECTS,
    "city": PLACES,
    "instrument": INSTRUMENTS,
}
_NUMBER_KEYS = ("age", "count", "year", "size", "price", "weight", "score", "port")
_INVENTED_KEYS = 0.25  # a share of keys is invented, and as many are any nouns: copied and not recalled


_JSON_REQUESTS = (
    "Write a JSON object with the {w} {k}.",
    "Write a JSON object with {w} {k}.",
    "Give me JSON with the {w} {k}.",
    "Answer in JSON with the {w} {k}.",
    "Return a JSON object with the {w} {k}.",
    "Return JSON with the {f} {k}.",
    "Reply only with JSON. Use the {w} {k}.",
    "Make a JSON object with exactly the {w} {k}.",
    "Produce JSON with {w} {k}.",
    "I need a JSON object that has the {w} {k}.",
    "Answer only in JSON, with the {w} {k} and nothing else.",
    "JSON with {k}, please.",
    "Generate a JSON object with these {w}: {k}.",
)


_STATED = (
    "The {k} is {v}.",
    "{K}: {v}.",
    "Its {k} is {v}.",
    "{v} is the {k}.",
    "{K} = {v}.",
    "It has the {k} {v}.",
)


def one_word(rng: Random) -> Dialogue:
    """Ask for a single word of a category."""
    category = rng.choice(tuple(CATEGORIES))
    form = rng.choice(
        (
            "Name {a} in one word.",
            "Answer with one word: name {a}.",
            "Give me one word for {a}.",
            "Name {a}. Use one word.",
        )
    )
    word = rng.choice(CATEGORIES[category])
    return turns("one_word", form.format(a=with_article(category)), word[0].upper() + word[1:] + ".")


def enumerate_items(rng: Random) -> Dialogue:
    """Ask for a numbered list of two to five different items of a category."""
    category = rng.choice(tuple(CATEGORIES))
    count = rng.choice(tuple(COUNTS))
    written = count if rng.random() < 0.7 else str(COUNTS[count])
    form = rng.choice(("List {n} {c}.", "Give me a list of {n} {c}.", "Name {n} {c}.", "Write a list of {n} {c}."))
    # In the category's order from anywhere on: what comes next is then known, and no item comes twice.
    words, start = CATEGORIES[category], rng.randrange(len(CATEGORIES[category]))
    items = [words[(start + index) % len(words)] for index in range(COUNTS[count])]
    lines = (f"{number}. {item[0].upper()}{item[1:]}" for number, item in enumerate(items, start=1))
    return turns("list", form.format(n=written, c=plural(category)), "\n".join(lines))


def json_object(rng: Random, split: Split = "train") -> Dialogue:
    """Ask for a JSON object with one to four keys, some of them invented."""
    vocabulary = Vocabulary(rng=rng, split=split)
    values: dict[str, str | int] = {}
    count = rng.randint(1, 4)
    while len(values) < count:
        key = _key(vocabulary)
        values[key] = rng.randint(1, 99) if key in _NUMBER_KEYS else rng.choice(_KEYS.get(key, OBJECTS))
    keys = [*values]
    if rng.random() < 0.2:
        keys = [f'"{key}"' for key in keys]
    listed = keys[0] if count == 1 else f"{', '.join(keys[:-1])} {rng.choice(('and', 'and', '&'))} {keys[-1]}"
    if rng.random() < 0.15:
        listed = ", ".join(keys)
    word = "key" if count == 1 else "keys"
    form = rng.choice(_JSON_REQUESTS)
    return turns("json", form.format(w=word, k=listed, f=word.replace("key", "field")), json.dumps(values))


def json_of_text(rng: Random, split: Split = "train") -> Dialogue:
    """Ask for a JSON object with the values that a text gives for its keys."""
    vocabulary = Vocabulary(rng=rng, split=split)
    table: dict[str, str] = {}
    for _ in range(rng.randint(1, 4)):
        table[_key(vocabulary)] = vocabulary.number(1, 4) if rng.random() < 0.3 else any_value(vocabulary)
    form = rng.choice(_STATED) if rng.random() < 0.5 else ""
    stated = [
        (form or rng.choice(_STATED)).format(k=key, K=key.capitalize(), v=value) for key, value in table.items()
    ]
    rng.shuffle(stated)
    text, listed = " ".join(stated), ", ".join(table)
    asked = rng.choice(
        (
            "Write this as JSON with the keys {k}: {t}",
            "{t}\n\nGive me that as JSON with the keys {k}.",
            "Extract {k} as JSON: {t}",
        )
    )
    values = {key: int(value) if value.isdigit() else value for key, value in table.items()}
    return turns("json", asked.format(k=listed, t=text), json.dumps(values, ensure_ascii=False))


def echo(rng: Random, split: Split = "train", most: int = 12) -> Dialogue:
    """Ask to repeat words, most of them invented: the plainest form of copying."""
    vocabulary = Vocabulary(rng=rng, split=split)
    count = rng.randint(1, most)
    words = [_echoed(vocabulary) for _ in range(count)]
    text = " ".join(words)
    form = rng.choice(
        ("Repeat: {t}", "Say this again: {t}", "Repeat after me: {t}", "Copy this text: {t}", "Echo: {t}")
    )
    return turns("echo", form.format(t=text), text)


def pick_from_pairs(rng: Random, split: Split = "train", pairs: int = 3) -> Dialogue:
    """Ask for the value of a key in a list of `key: value` lines: the plainest look-up."""
    vocabulary = Vocabulary(rng=rng, split=split)
    table = {
        vocabulary.name(): rng.choice((vocabulary.name, vocabulary.code, vocabulary.number))() for _ in range(pairs)
    }
    lines = "\n".join(f"{key}: {value}" for key, value in table.items())
    contents: list[str] = []
    for key in rng.sample([*table], len(table)):
        question = rng.choice(("What is {k}?", "Value of {k}?", "Which value has {k}?")).format(k=key)
        contents += [question if contents else f"{lines}\n\n{question}", table[key]]
    return turns("pairs", *contents)


def add(rng: Random) -> Dialogue:
    """Ask for a sum below twenty."""
    left, right = rng.randint(0, 9), rng.randint(0, 9)
    form = rng.choice(("What is {l} + {r}?", "{l} + {r}", "Add {l} and {r}.", "What is {l} plus {r}?"))
    return turns("sum", form.format(l=left, r=right), str(left + right))


def instruct(rng: Random, split: Split = "train") -> Dialogue:
    """Draw any of the instructions."""
    draw = rng.random()
    if draw < 0.45:
        return json_object(rng, split)
    if draw < 0.65:
        return json_of_text(rng, split)
    if draw < 0.73:
        return enumerate_items(rng)
    if draw < 0.76:
        return one_word(rng)
    if draw < 0.83:
        return depict_in_sentences(rng)
    if draw < 0.88:
        return echo(rng, split)
    return add(rng)


def _key(vocabulary: Vocabulary) -> str:
    draw = vocabulary.rng.random()
    if draw < _INVENTED_KEYS:
        return vocabulary.name().lower()
    if draw < 2 * _INVENTED_KEYS:
        noun = vocabulary.rng.choice(nouns(vocabulary.split))
        return noun if draw < 1.7 * _INVENTED_KEYS else f"{noun}_{vocabulary.rng.choice(nouns(vocabulary.split))}"
    return vocabulary.rng.choice((*_KEYS, *_NUMBER_KEYS))


def _echoed(vocabulary: Vocabulary) -> str:
    draw = vocabulary.rng.random()
    if draw < 0.5:
        return vocabulary.name() if draw < 0.35 else vocabulary.name().lower()
    if draw < 0.65:
        return vocabulary.number()
    return vocabulary.pick(vocabulary.rng.choice([*CATEGORIES.values()]))
