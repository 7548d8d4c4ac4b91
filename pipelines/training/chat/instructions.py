"""Simple instructions whose outcome a program can check."""

import json
from random import Random

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
_LEAST_INVENTED_KEYS = 0.35  # a share of keys is invented, so that keys are copied and not recalled


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
    items = rng.sample(CATEGORIES[category], COUNTS[count])
    lines = (f"{number}. {item[0].upper()}{item[1:]}" for number, item in enumerate(items, start=1))
    return turns("list", form.format(n=written, c=category + "s"), "\n".join(lines))


def json_object(rng: Random, split: Split = "train") -> Dialogue:
    """Ask for a JSON object with one to four keys, some of them invented."""
    vocabulary = Vocabulary(rng=rng, split=split)
    values: dict[str, str | int] = {}
    count = rng.randint(1, 4)
    while len(values) < count:
        key = _key(vocabulary)
        values[key] = rng.randint(1, 99) if key in _NUMBER_KEYS else rng.choice(_KEYS.get(key, OBJECTS))
    keys = [*values]
    listed = keys[0] if count == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"
    word = "key" if count == 1 else "keys"
    form = rng.choice(
        (
            "Write a JSON object with the {w} {k}.",
            "Give me JSON with the {w} {k}.",
            "Answer in JSON with the {w} {k}.",
            "Return a JSON object with the {w} {k}.",
            "Reply only with JSON. Use the {w} {k}.",
        )
    )
    return turns("json", form.format(w=word, k=listed), json.dumps(values))


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
    if draw < 0.35:
        return json_object(rng, split)
    if draw < 0.55:
        return enumerate_items(rng)
    if draw < 0.7:
        return one_word(rng)
    if draw < 0.9:
        return echo(rng, split)
    return add(rng)


def _key(vocabulary: Vocabulary) -> str:
    if vocabulary.rng.random() < _LEAST_INVENTED_KEYS:
        return vocabulary.name().lower()
    return vocabulary.rng.choice((*_KEYS, *_NUMBER_KEYS))


def _echoed(vocabulary: Vocabulary) -> str:
    draw = vocabulary.rng.random()
    if draw < 0.5:
        return vocabulary.name() if draw < 0.35 else vocabulary.name().lower()
    if draw < 0.65:
        return vocabulary.number()
    return vocabulary.pick(vocabulary.rng.choice([*CATEGORIES.values()]))
