"""Questions that a scene answers without doubt, and their answers: a word, or a short sentence."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from pipelines.training.vision.colours import COLOURS
from pipelines.training.vision.icons import ICONS
from pipelines.training.vision.outlines import SHAPES
from pipelines.training.vision.relations import Relation, place_of, relation
from pipelines.training.vision.scene import Print, Scene, Thing
from pipelines.training.vision.wordings import ask

_NUMBERS = ("no", "one", "two", "three", "four", "five")
_SIDES = {"left": "left of", "right": "right of", "above": "above", "below": "below"}
_PHRASES = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below", "under"),
}
_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, its answer and its topic."""

    topic: str
    question: str
    answer: str


def questions(rng: Random, scene: Scene) -> list[Asked]:
    """Draw questions of every topic that the scene has an answer to, in random order."""
    drawn = [*_of_ground(rng, scene), *_of_things(rng, scene), *_of_counts(rng, scene), *_of_relations(rng, scene)]
    drawn += [*_of_prints(rng, scene), *_of_absence(rng, scene)]
    drawn.append(_asked(rng, "describe", describe(scene)))
    if len(scene.things) > 1 and rng.random() < 0.4:
        drawn.append(_asked(rng, "list", _listed(sorted(scene.things, key=lambda thing: thing.x))))
    rng.shuffle(drawn)
    return drawn


def describe(scene: Scene) -> str:
    """Say in a sentence or two what a scene shows."""
    things = sorted(scene.things, key=lambda thing: thing.x)
    ground = f" on {_article(scene.ground.colour)} background" if scene.ground.nameable else ""
    line = scene.prints[0] if scene.prints else None
    printed = f"the {noun_of(line)} {line.read}" if line else ""
    if not things:
        if line is None:
            return f"A plain {scene.ground.colour} picture."
        return f"{printed[0].upper()}{printed[1:]} in {line.colour}{ground}."
    if line is not None:
        return _sentence(" and ".join([*(named(thing) for thing in things), printed]))
    if len(things) == 1:
        return _sentence(named(things[0], size=True) + ground)
    if len(things) == 2:
        how = relation(things[0], things[1])
        first, second = (things[1], things[0]) if how in ("right", "below") else things
        if how:
            side = _SIDES["left" if how in ("left", "right") else "above"]
            return _sentence(f"{named(first, size=True)} is {side} {named(second, size=True)}")
    return _sentence(_listed(things) + ("" if len({t.kind for t in things}) > 1 else ground))


def noun_of(line: Print) -> str:
    """Say what printed text is."""
    return "number" if line.numeric else "letter" if len(line.text) == 1 else "word"


def named(thing: Thing, *, size: bool = False) -> str:
    """Name a thing as in "a small red circle"."""
    return _article(" ".join(filter(None, (thing.scale if size else "", thing.colour, thing.kind))))


def plural(kind: str) -> str:
    """The plural of a shape's or an icon's name."""
    return kind + ("es" if kind.endswith(("s", "x")) else "s")


def _listed(things: list[Thing]) -> str:
    if len({(thing.kind, thing.colour) for thing in things}) == 1:
        return f"{_NUMBERS[len(things)]} {things[0].colour} {plural(things[0].kind)}"
    *first, last = (named(thing) for thing in things)
    return f"{', '.join(first)} and {last}"


def _of_ground(rng: Random, scene: Scene) -> Iterator[Asked]:
    colour = scene.ground.colour
    if not scene.ground.nameable:
        return
    if not scene.things and not scene.prints:
        yield _asked(rng, "colour of the only thing", colour)
    if rng.random() < 0.6:
        yield _asked(rng, "colour of the ground", colour)


def _of_things(rng: Random, scene: Scene) -> Iterator[Asked]:
    things = scene.things
    for thing in things:
        reference = refer(rng, thing, things)
        tints = [other for other in things if other.colour == thing.colour]
        if reference and (len(things) == 1 or rng.random() < 0.6):
            yield _asked(rng, "colour", thing.colour, it=reference)
        if len(tints) == 1 and len(things) > 1 and rng.random() < 0.7:
            yield _asked(rng, "shape of a colour", thing.kind, tint=tint(rng, thing.colour))
        if reference and rng.random() < (0.6 if thing.scale else 0.0):
            yield _asked(rng, "size", thing.scale, it=reference)
        where = place_of(thing, scene)
        if reference and where and rng.random() < 0.5:
            yield _asked(rng, "where", where, it=reference)
        if reference and ("left" in where or "right" in where) and rng.random() < 0.3:
            yield _asked(rng, "which half", "on the left" if "left" in where else "on the right", it=reference)
        if reference and rng.random() < 0.35:
            yield _confirmed(rng, thing, reference)
    if len(things) == 1:
        thing = things[0]
        yield _asked(rng, "colour of the only thing", thing.colour)
        topic = "icon" if thing.kind in ICONS else "shape"
        yield _asked(rng, topic, thing.kind)
        yield _asked(rng, topic if rng.random() < 0.6 else "icon", thing.kind)


def _confirmed(rng: Random, thing: Thing, reference: str) -> Asked:
    """Ask whether a thing is of a colour; where its name says the colour, ask for that."""
    other = thing.colour if rng.random() < 0.5 else rng.choice(COLOURS)
    if reference != kindly(thing):
        return _asked(rng, "colour", thing.colour, it=reference)
    answer = "yes" if other == thing.colour else f"no, it is {thing.colour}"
    return _asked(rng, "is it so", answer, it=reference, tint=tint(rng, other))


def _of_counts(rng: Random, scene: Scene) -> Iterator[Asked]:
    things = scene.things
    for kind in {thing.kind: None for thing in things}:
        alike = [thing for thing in things if thing.kind == kind]
        yield _asked(rng, "count", str(len(alike)), kinds=plural(kind))
        colour = rng.choice(alike).colour
        if len({thing.colour for thing in things}) > 1 or rng.random() < 0.4:
            count = sum(thing.colour == colour for thing in alike)
            yield _asked(rng, "count", str(count), kinds=f"{tint(rng, colour)} {plural(kind)}")
    if things and rng.random() < 0.7:
        kinds = (
            "objects"
            if any(thing.kind in ICONS for thing in things)
            else rng.choice(("shapes", "objects", "things", "shapes"))
        )
        yield _asked(rng, "count", str(len(things)), kinds=kinds)
    if len(things) > 1 and rng.random() < 0.4:
        colour = rng.choice(things).colour
        count = sum(thing.colour == colour for thing in things)
        yield _asked(
            rng, "count", str(count), kinds=f"{tint(rng, colour)} {rng.choice(('shapes', 'objects', 'things'))}"
        )
    if rng.random() < 0.12:
        kind = rng.choice((*SHAPES, *SHAPES, *ICONS))
        if all(thing.kind != kind for thing in things):
            yield _asked(rng, "count", "0", kinds=plural(kind))


def _of_relations(rng: Random, scene: Scene) -> Iterator[Asked]:
    things = scene.things
    if not 2 <= len(things) <= 4:
        return
    for _ in range(2):
        first, second = rng.sample(things, 2)
        it, other = refer(rng, first, things), refer(rng, second, things)
        how = relation(first, second)
        if not (it and other and how):
            continue
        one, two = rng.sample((how, _OPPOSITE[how]), 2)
        yield _asked(rng, "side or side", how, it=it, other=other, one=_phrase(rng, one), two=_phrase(rng, two))
        yield _asked(rng, "is it beside", "yes" if one == how else "no", it=it, other=other, one=_phrase(rng, one))
        if rng.random() < 0.5:
            yield _asked(rng, "where from", f"{how}", it=it, other=other)
        if max(first.size, second.size) > 1.35 * min(first.size, second.size) and rng.random() < 0.5:
            larger, smaller = (it, other) if first.size > second.size else (other, it)
            topic = rng.choice(("larger", "smaller"))
            yield _asked(rng, topic, larger if topic == "larger" else smaller, it=it, other=other)
    yield from _neighbours(rng, scene)


def _neighbours(rng: Random, scene: Scene) -> Iterator[Asked]:
    things = scene.things
    for middle in rng.sample(things, min(len(things), 2)):
        reference = refer(rng, middle, things)
        for side in rng.sample(sorted(_SIDES), 3):
            there = [thing for thing in things if thing is not middle and _loosely(thing, middle, side)]
            clear = [thing for thing in there if relation(thing, middle) == side]
            if reference and len(there) == len(clear) == 1:
                yield _asked(rng, "who is beside", named(there[0]), other=reference, one=_phrase(rng, side))
            elif reference and not there and rng.random() < 0.25:
                yield _asked(rng, "who is beside", "nothing", other=reference, one=_phrase(rng, side))
    if len(things) == 2:
        how: Relation = relation(things[0], things[1])
        if how in ("left", "right"):
            side = rng.choice(("left", "right"))
            yield _asked(rng, "at a side", named(things[0] if how == side else things[1]), side=side)


def _loosely(thing: Thing, middle: Thing, side: str) -> bool:
    along = {"left": middle.x - thing.x, "right": thing.x - middle.x, "above": middle.y - thing.y}
    return along.get(side, thing.y - middle.y) > 0.02


def _of_prints(rng: Random, scene: Scene) -> Iterator[Asked]:
    for line in scene.prints:
        topic = "number" if line.numeric else "word"
        for _ in range(2 if scene.things else 3):
            yield _asked(rng, topic, line.read)
        if line.numeric:
            yield _asked(rng, "word", line.read)
        elif len(line.text) == 1:
            yield _asked(rng, "letter", line.read)
        yield _asked(rng, "colour of the number" if line.numeric else "colour of the text", line.colour)


def _of_absence(rng: Random, scene: Scene) -> Iterator[Asked]:
    kinds = {thing.kind for thing in scene.things}
    other = rng.choice([kind for kind in (*SHAPES, *SHAPES, *ICONS) if kind not in kinds])
    if rng.random() < 0.35:
        yield _asked(rng, "is there", "no", a=_article(other))
    if scene.things and rng.random() < 0.45:
        thing = rng.choice(scene.things)
        yield _asked(
            rng,
            "is there",
            "yes",
            a=_article(thing.kind if rng.random() < 0.6 else f"{tint(rng, thing.colour)} {thing.kind}"),
        )
    if rng.random() < 0.3:
        topic = rng.choice(("colour", "where", "size", "colour"))
        yield _asked(rng, topic, f"there is no {other}", it=f"the {other}")
    if not scene.prints and rng.random() < 0.12:
        topic = rng.choice(("word", "number"))
        yield _asked(rng, topic, f"there is no {'text' if topic == 'word' else 'number'}")
    if not scene.things and rng.random() < 0.2:
        yield _asked(rng, "shape", "there is no shape")


def refer(rng: Random, thing: Thing, things: tuple[Thing, ...]) -> str:
    """Name a thing so that no other is meant: "the circle", "the red circle"; nothing where that cannot be."""
    alike = [other for other in things if other.kind == thing.kind]
    if len(alike) == 1 and rng.random() < 0.75:
        return kindly(thing)
    if sum(other.colour == thing.colour for other in alike) == 1:
        return f"the {tint(rng, thing.colour)} {thing.kind}"
    return kindly(thing) if len(alike) == 1 else ""


def kindly(thing: Thing) -> str:
    """A thing by its kind alone."""
    return f"the {thing.kind}"


def tint(rng: Random, colour: str) -> str:
    """Spell a colour as people do."""
    return "gray" if colour == "grey" and rng.random() < 0.5 else colour


def _phrase(rng: Random, side: str) -> str:
    return rng.choice(_PHRASES[side])


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return f"{text[0].upper()}{text[1:]}."


def _asked(rng: Random, topic: str, answer: str, **slots: str) -> Asked:
    question = ask(rng, topic, **slots)
    said = _sentence(answer)
    if "gray" in question.lower() or "color" in question.lower():  # spelled as the question is
        said = said.replace("grey", "gray").replace("Grey", "Gray")
    return Asked(topic=topic, question=question, answer=said)
