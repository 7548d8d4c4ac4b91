"""Short stories and descriptions, of as many sentences as were asked for or of any length."""

from random import Random

from pipelines.training.chat.vocabulary import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    FIRST_NAMES,
    FOODS,
    JOBS,
    OBJECTS,
    PLACES,
    Vocabulary,
    with_article,
)
from pipelines.training.prompts import Dialogue, turns

KIND = "story"

COUNTS = ("one", "two", "three", "four", "five", "six")
_OPENINGS = (
    "Once there was {a_hero} who lived near the {place}.",
    "{Name} was {a_hero} with a {adjective} {thing}.",
    "In a {adjective} {place} lived {a_hero} called {name}.",
    "One morning {name} the {hero} went to the {place}.",
    "Long ago {a_hero} called {name} found a {adjective} {thing}.",
    "It was a {adjective} day, and {name} the {hero} was {mood}.",
)
_MIDDLES = (
    "{Name} looked for the {thing} all day.",
    "The {thing} was {colour} and very {adjective}.",
    "Then the rain came, and the {place} was {adjective}.",
    "A {other} came by and asked for some {food}.",
    "{Name} gave the {other} a piece of {food}.",
    "They walked together to the {place}.",
    "Nobody knew where the {thing} had come from.",
    "At night the {place} was dark and quiet.",
    '"I have never seen a {colour} {thing}," said the {other}.',
    "{Name} was {mood}, but did not give up.",
    "The {other} knew the way and went first.",
    "Behind the {place} they found an old door.",
    "{Name} opened it {adverb}.",
    "Inside stood a {adjective} {thing}.",
    "The wind sang in the trees.",
    "They ate {food} and told each other stories.",
    "The {other} laughed, and {name} laughed too.",
    "After a while the sun came out.",
    '"Shall we go on?" asked {name}.',
    '"Yes," said the {other}, "let us go."',
)
_ENDINGS = (
    "In the end they went home together.",
    "From that day {name} and the {other} were friends.",
    "{Name} kept the {thing} and was happy.",
    "And the {thing} still stands in the {place}.",
    "That night {name} slept well.",
    "So everything was well again.",
    "{Name} never forgot that day.",
)
_VIEWS = (
    "The {place} is {adjective} and {colour} in the light of the {time}.",
    "There is a {adjective} {thing} by the wall.",
    "A {other} sits under a tree.",
    "You can smell {food} from far away.",
    "People come and go with {adjective} baskets.",
    "The air is {adjective} and still.",
    "A {colour} bird sings above the {place}.",
    "Somebody has left a {colour} {thing} on the ground.",
    "The stones are {adjective} and warm.",
    "It is {adjective} here in the {time}.",
    "Far away you hear a bell.",
    "Soft light falls on the {thing}.",
    "The shadows grow long.",
    "Everything is quiet.",
)
_ABOUT_HERO = (
    "Tell me a story about {a_hero}.",
    "Write a short story about {a_hero}.",
    "Write a story about {a_hero}.",
    "Can you tell me a story about {a_hero}?",
)
_ABOUT_PLACE = (
    "Describe a {place}.",
    "Describe the {place} in the {time}.",
    "Write about a {place}.",
    "What does a {place} look like?",
)


def tell(rng: Random) -> Dialogue:
    """Draw a story of three to ten sentences about a hero that the request names."""
    words = _words(rng)
    request = rng.choice(_ABOUT_HERO).format_map(words)
    if rng.random() < 0.15:
        request = rng.choice(("Tell me a story.", "Write a short story."))
    count = rng.randint(1, 3) if "short" in request else rng.randint(2, 8)
    sentences = [rng.choice(_OPENINGS), *rng.sample(_MIDDLES, count), rng.choice(_ENDINGS)]
    return turns(KIND, request, " ".join(sentences).format_map(words))


def depict(rng: Random) -> Dialogue:
    """Draw a description of a place, half of them in a number of sentences that the request gives."""
    if rng.random() < 0.5:
        return depict_in_sentences(rng)
    return _depict(rng, rng.choice(_ABOUT_PLACE), rng.randint(1, len(COUNTS)))


def depict_in_sentences(rng: Random) -> Dialogue:
    """Draw a description of a place in as many sentences as the request asks for."""
    count = rng.randint(1, len(COUNTS))
    form = rng.choice(
        ("Write {n} {s} about a {place}.", "Describe a {place} in {n} {s}.", "In {n} {s}, describe a {place}.")
    )
    plural = "sentence" if count == 1 else "sentences"
    return _depict(rng, form.replace("{n}", COUNTS[count - 1]).replace("{s}", plural), count)


def _depict(rng: Random, request: str, count: int) -> Dialogue:
    words = _words(rng)
    # The n-th sentence is one of those that come n-th: the last one written says how many there are.
    sentences = [rng.choice(_VIEWS[place :: len(COUNTS)]) for place in range(count)]
    return turns(KIND, request.format_map(words), " ".join(sentences).format_map(words))


def view(rng: Random) -> str:
    """Draw one sentence of a description or a story."""
    return rng.choice((*_VIEWS, *_MIDDLES)).format_map(_words(rng))


def _words(rng: Random) -> dict[str, str]:
    vocabulary = Vocabulary(rng=rng)
    hero = rng.choice((*ANIMALS, *JOBS))
    name = rng.choice(FIRST_NAMES)
    return {
        "hero": hero,
        "a_hero": with_article(hero),
        "name": name,
        "Name": name,
        "other": vocabulary.pick(ANIMALS),
        "thing": vocabulary.pick(OBJECTS),
        "place": vocabulary.pick(PLACES),
        "food": vocabulary.pick(FOODS),
        "colour": vocabulary.pick(COLOURS),
        "adjective": vocabulary.pick(ADJECTIVES),
        "mood": rng.choice(("tired", "happy", "sad", "hungry", "curious", "afraid", "proud")),
        "adverb": rng.choice(("slowly", "quickly", "with care", "at once")),
        "time": rng.choice(("morning", "evening", "afternoon", "night")),
    }
