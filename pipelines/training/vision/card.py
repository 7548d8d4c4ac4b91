"""What spark-vision's card says beside what was measured."""

from PIL import Image, ImageDraw

from pipelines.training.card import Card
from pipelines.training.tasks import Example, asked
from pipelines.training.vision.fonts import PLAIN, font
from pipelines.training.vision.pictures import demo_picture, png
from pipelines.training.vision.shape import VisionArchitecture

_DEMO_QUESTIONS = (
    "Describe this image.",
    "What colour is the circle?",
    "What is left of the square?",
    "Is the circle left or right of the square?",
    "How many shapes are there?",
    "Which word is written?",
    "What color is the star?",
)
_PLAIN_QUESTIONS = (
    ("a plain green picture", "What color is this?"),
    ("three blue squares on white", "How many squares are there?"),
    ("three blue squares on white", "What do you see?"),
    ("HELLO in black on white", "What does the text say?"),
)
_MAX_TOKENS = 48


def card_of(shape: VisionArchitecture) -> Card:
    """Write the card's prose, and draw the pictures that it shows replies to."""
    return Card(
        pipeline_tag="image-text-to-text", summary=_summary(shape), use=_use(shape), data=_DATA, shown=_shown()
    )


def _summary(shape: VisionArchitecture) -> str:
    tower, text = shape.tower, shape.text
    return (
        "A very small vision-language model that comes with Heliostat, so that a first run, the tests and the "
        "demonstrations look at real pixels without a download. A LLaVA: a SigLIP tower "
        f"({tower.layers} layers of {tower.hidden}, {tower.patches} patches of {tower.patch} by {tower.patch} "
        f"pixels of a picture of {tower.image}), a projector of two layers, and a Llama ({text.layers} layers of "
        f"{text.hidden}, a vocabulary of {text.vocab_size}, a context of {text.context} tokens)."
    )


def _shown() -> tuple[Example, ...]:
    """Questions about the demonstration's picture, and about three as anybody would draw them with Pillow."""
    pictures = {
        "a plain green picture": png(Image.new("RGB", (320, 240), "green")),
        "three blue squares on white": _squares(),
        "HELLO in black on white": _hello(),
    }
    demo = demo_picture()
    drawn = [(question, demo) for question in _DEMO_QUESTIONS]
    drawn += [(question, pictures[name]) for name, question in _PLAIN_QUESTIONS]
    shown = [
        Example(messages=(asked(text, picture),), expected="", max_tokens=_MAX_TOKENS) for text, picture in drawn
    ]
    return (*shown, Example(messages=(asked("Hello!"),), expected="", max_tokens=_MAX_TOKENS))


def _squares() -> bytes:
    picture = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(picture)
    for left in (60, 260, 460):
        pen.rectangle((left, 180, left + 120, 300), fill="blue")
    return png(picture)


def _hello() -> bytes:
    picture = Image.new("RGB", (400, 200), "white")
    ImageDraw.Draw(picture).text((200, 100), "HELLO", font=font(PLAIN, 90), fill="black", anchor="mm")
    return png(picture)


def _use(shape: VisionArchitecture) -> str:
    return f"""It names colours, shapes, counts up to five, positions, printed words and numbers, eight icons of \
brewing coffee, and describes a simple picture in a sentence. What it says comes from the pixels alone, so that \
tests and demonstrations can check that they arrive.

It knows nothing of photographs, nor of anything but what its generators draw: twelve colours (red, green, blue, \
yellow, orange, purple, pink, brown, black, white, grey, cyan), twelve shapes (circle, square, triangle, \
rectangle, star, heart, diamond, cross, pentagon, hexagon, ring, oval) and eight icons (cup, kettle, bean, \
grinder, filter, scale, clock, spoon). A picture is padded to a square and scaled to {shape.tower.image} pixels: \
letters that are then less than some nine pixels wide it cannot read. It sees one picture, in the first message. \
Without one it asks for it. For real work, load a larger model.

The first seven of the replies below are to the demonstration's picture (a red circle left of a blue square, and \
the word SUN), the next to a plain green picture, then two to three blue squares on white, one to HELLO in black \
on white, and the last to a message without a picture."""


_DATA = """All pictures are drawn, and all questions asked and answered, by the programs in \
`pipelines/training/vision/`: shapes, icons and words in fonts that come with Pillow and ReportLab, on plain, \
grainy, striped, dotted, clouded and cluttered backgrounds, turned, scaled, blurred, and worn by noise and JPEG. \
At first the tower alone learns, from what each patch shows (its kind, colour, place, and how many there are of \
it); then all of it learns from several questions to a picture, each as if it were the only one. A checksum \
keeps every eighth word out of training, and two fonts are kept out as well: those, other seeds and other shares \
of backgrounds are what it is measured on, in pictures of up to 640 pixels.

The weights were made in three goes. In the second the tower also learnt what stands on each side of a thing \
(`vision/labels.py`), and there were more pairs and crowds; the third was of the same kind."""
