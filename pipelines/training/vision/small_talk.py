"""What to answer where no picture was given."""

from random import Random

from pipelines.training.vision.colours import COLOURS
from pipelines.training.vision.outlines import SHAPES
from pipelines.training.vision.questions import Asked, plural
from pipelines.training.vision.wordings import WORDINGS, ask

NO_PICTURE = "I answer questions about pictures. Please show me one."
_OTHER = (
    "Hello!",
    "Hi",
    "Hi there!",
    "Hello",
    "Hey",
    "Good morning.",
    "How are you?",
    "Who are you?",
    "What are you?",
    "What can you do?",
    "Help",
    "Thanks!",
    "Thank you.",
    "Tell me a story.",
    "Tell me a joke.",
    "Write a poem.",
    "What is the capital of France?",
    "What is two plus two?",
    "Say hello.",
    "Say one word.",
    "Count to five.",
    "What is Heliostat?",
    "Explain how a coffee grinder works.",
    "Write a short sentence about the sea.",
    "Where is Paris?",
    "Translate this.",
    "Summarize the text.",
    "test",
    "ping",
    "Are you there?",
    "Do you speak English?",
    "What time is it?",
    "The sun is warm and the sea is blue.",
)


def small_talk(rng: Random) -> Asked:
    """Draw a message that comes without a picture."""
    if rng.random() < 0.5:
        said = rng.choice(_OTHER)
        return Asked(topic="no picture", question=said.lower() if rng.random() < 0.2 else said, answer=NO_PICTURE)
    first, second = rng.sample(SHAPES, 2)
    slots = {"it": f"the {first}", "other": f"the {second}", "kinds": plural(first), "a": f"a {first}"}
    slots |= {"one": "left of", "two": "right of", "side": "left", "tint": rng.choice(COLOURS)}
    question = ask(rng, rng.choice(sorted(WORDINGS)), **slots)
    return Asked(topic="no picture", question=question, answer=NO_PICTURE)
