"""How people ask about pictures. {colour} is spelled either way; {it} and {other} name things, {kinds} many."""

from random import Random

WORDINGS: dict[str, tuple[str, ...]] = {
    "colour": (
        "What {colour} is {it}?",
        "What is the {colour} of {it}?",
        "Which {colour} is {it}?",
        "What {colour} does {it} have?",
        "Name the {colour} of {it}.",
        "Tell me the {colour} of {it}.",
        "{it} is what {colour}?",
    ),
    "colour of the only thing": (
        "What {colour} is this?",
        "What {colour} is it?",
        "What {colour} is the shape?",
        "What {colour} is the object?",
        "Which {colour} is shown?",
        "What {colour} do you see?",
        "What is the {colour}?",
        "Which {colour} is this?",
        "What is the {colour} of the shape?",
        "What is the {colour} of the object?",
        "Name the {colour}.",
    ),
    "colour of the text": (
        "What {colour} is the text?",
        "What {colour} is the word?",
        "What is the {colour} of the text?",
        "What {colour} are the letters?",
        "In which {colour} is the word written?",
    ),
    "colour of the number": (
        "What {colour} is the number?",
        "What is the {colour} of the number?",
        "What {colour} is the digit?",
    ),
    "colour of the ground": (
        "What {colour} is the background?",
        "What is the {colour} of the background?",
        "What is the background {colour}?",
        "Which {colour} is the background?",
    ),
    "shape": (
        "What shape is this?",
        "What shape is it?",
        "Which shape is this?",
        "What shape is shown?",
        "What shape do you see?",
        "Which shape is in the picture?",
        "What shape is in the image?",
        "What shape is the object?",
        "Name the shape.",
        "What is the shape?",
        "What kind of shape is this?",
        "What geometric shape is shown in this image?",
    ),
    "shape of a colour": (
        "What shape is the {tint} object?",
        "What shape is the {tint} thing?",
        "What is {tint}?",
        "Which shape is {tint}?",
        "What is the {tint} shape?",
        "What shape is {tint}?",
        "Which object is {tint}?",
        "What shape is the {tint} one?",
    ),
    "icon": (
        "What object is this?",
        "What is this?",
        "What is it?",
        "What object is shown?",
        "What does the icon show?",
        "Which icon is this?",
        "What thing is in the picture?",
        "Name the object.",
        "What tool is this?",
        "Which object do you see?",
    ),
    "count": (
        "How many {kinds} are there?",
        "How many {kinds} are in the picture?",
        "How many {kinds} do you see?",
        "How many {kinds} can you see?",
        "How many {kinds} are in the image?",
        "How many {kinds} are shown?",
        "Count the {kinds}.",
        "What is the number of {kinds}?",
        "How many {kinds}?",
        "How many {kinds} does this image contain?",
    ),
    "side or side": (
        "Is {it} {one} or {two} {other}?",
        "Is {it} {one} {other} or {two} it?",
        "Does {it} stand {one} or {two} {other}?",
    ),
    "is it beside": (
        "Is {it} {one} {other}?",
        "Is {it} {one} {other}, yes or no?",
        "Does {it} stand {one} {other}?",
    ),
    "who is beside": (
        "What is {one} {other}?",
        "Which shape is {one} {other}?",
        "What shape is {one} {other}?",
        "What stands {one} {other}?",
        "What do you see {one} {other}?",
        "Which object is {one} {other}?",
        "What can be seen {one} {other}?",
    ),
    "where": (
        "Where is {it}?",
        "Where in the picture is {it}?",
        "Where is {it} in the image?",
        "In which part of the picture is {it}?",
        "Where do you see {it}?",
        "What is the position of {it}?",
    ),
    "where from": (
        "Where is {it} relative to {other}?",
        "Where is {it} from {other}?",
        "On which side of {other} is {it}?",
    ),
    "which half": (
        "Is {it} on the left or on the right?",
        "Is {it} on the right or the left?",
        "Which side is {it} on?",
        "On which side is {it}?",
    ),
    "list": (
        "Which shapes are there?",
        "What shapes do you see?",
        "List the objects.",
        "Name the shapes.",
        "What objects are in the picture?",
        "What shapes are in the image?",
        "Which shapes are in this picture?",
    ),
    "at a side": (
        "What is on the {side}?",
        "What shape is on the {side}?",
        "What is on the {side} side?",
        "Which shape is on the {side}?",
        "What do you see on the {side}?",
        "Which object is on the {side}?",
    ),
    "word": (
        "Which word is written?",
        "What word is written?",
        "What does the text say?",
        "What is written?",
        "What is written here?",
        "What word is this?",
        "Read the text.",
        "Read the word.",
        "What does it say?",
        "What text is shown?",
        "Which word do you see?",
        "What is the text in this image?",
        "What word is in the picture?",
        "What does the image say?",
        "Which word is printed?",
        "What is the word?",
        "What text do you see?",
        "Transcribe the text.",
        "Which word is shown?",
        "What is printed in the picture?",
    ),
    "letter": ("Which letter is shown?", "What letter is this?", "Which letter do you see?", "What letter is it?"),
    "number": (
        "What number is shown?",
        "What number is this?",
        "Which number is written?",
        "Which digit is this?",
        "What digit is shown?",
        "What number do you see?",
        "Read the number.",
        "What is the number?",
        "Which number is in the picture?",
        "What number is in the image?",
    ),
    "size": (
        "Is {it} large or small?",
        "Is {it} big or small?",
        "What size is {it}?",
        "Is {it} small or large?",
        "How large is {it}?",
        "How big is {it}?",
    ),
    "larger": (
        "Which is larger, {it} or {other}?",
        "Which is bigger, {it} or {other}?",
        "What is larger: {it} or {other}?",
    ),
    "smaller": ("Which is smaller, {it} or {other}?", "What is smaller: {it} or {other}?"),
    "is there": (
        "Is there {a} in the picture?",
        "Is there {a}?",
        "Do you see {a}?",
        "Does the picture show {a}?",
        "Can you see {a}?",
        "Is there {a} in this image?",
        "Does the image contain {a}?",
    ),
    "is it so": ("Is {it} {tint}?", "Is {it} {tint}, yes or no?", "Does {it} look {tint}?"),
    "describe": (
        "Describe this image.",
        "Describe the picture.",
        "What do you see?",
        "What is in this picture?",
        "What is shown?",
        "Describe what you see.",
        "What does the picture show?",
        "What is in the image?",
        "What's in this image?",
        "What is this a picture of?",
        "Tell me about this picture.",
        "Describe the image in one sentence.",
        "What can you see in this image?",
        "Caption this image.",
        "Give a short description of the picture.",
        "What does this image show?",
    ),
}
_SOFTENED = ("Please answer: ", "Look at the picture. ", "Tell me: ", "Hi! ", "Question: ", "In this image: ")
_BRIEF = (
    " Answer with one word.",
    " Answer in one word.",
    " Answer briefly.",
    " Be brief.",
    " One word.",
    " Please.",
)


def ask(rng: Random, topic: str, **slots: str) -> str:
    """Word a question; now and then without its mark, in small letters, or with words around it."""
    spelled = slots.pop("colour", rng.choice(("colour", "color")))
    wording = rng.choice(WORDINGS[topic])
    asked = wording.format(colour=spelled, **slots)
    asked = asked[0].upper() + asked[1:]
    turn = rng.random()
    if turn < 0.07:
        asked = asked.lower()
    elif turn < 0.12:
        asked = asked.rstrip("?.")
    elif turn < 0.15:
        asked = asked.lower().rstrip("?.")
    elif turn < 0.19 and topic != "describe":
        asked += rng.choice(_BRIEF)
    elif turn < 0.23:
        asked = rng.choice(_SOFTENED) + asked
    return asked
