"""Short plain talk: greetings, thanks, feelings, and facts that everybody knows."""

from random import Random

from pipelines.training.chat.about import about
from pipelines.training.chat.vocabulary import FIRST_NAMES, Split, Vocabulary
from pipelines.training.prompts import Dialogue, turns

KIND = "dialogue"

TALK: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("Hello", "Hello!", "Hi", "Hi!", "Hey", "Hi there", "Hello there!", "Hey there!", "Greetings"),
        (
            "Hello! How can I help you?",
            "Hi! What can I do for you?",
            "Hello! What would you like to talk about?",
            "Hi there! How can I help?",
        ),
    ),
    (
        ("Good morning", "Good morning!"),
        ("Good morning! How can I help you?", "Good morning! What can I do for you today?"),
    ),
    (
        ("Good evening", "Good evening!"),
        ("Good evening! How can I help you?", "Good evening! What can I do for you?"),
    ),
    (("Good night", "Good night!"), ("Good night! Sleep well.", "Good night! See you tomorrow.")),
    (
        (
            "How are you?",
            "How are you doing?",
            "How do you do?",
            "How's it going?",
            "Are you well?",
            "How are you today?",
        ),
        (
            "I am well, thank you. How are you?",
            "Very well, thank you! And you?",
            "I'm fine, thanks. What can I do for you?",
        ),
    ),
    (
        ("I am fine.", "I'm fine, thanks.", "I'm good.", "Very well, thank you.", "Good, thanks!"),
        ("I'm glad to hear it.", "That's good to hear! What shall we talk about?", "Good! How can I help you?"),
    ),
    (
        ("I am sad.", "I feel sad.", "I had a bad day.", "I'm not feeling well.", "I am tired."),
        (
            "I'm sorry to hear that. I hope it gets better soon.",
            "I'm sorry. A short walk or a warm drink may help.",
            "I'm sorry to hear it. Take some rest.",
        ),
    ),
    (
        ("I am happy.", "I'm so happy today!", "Today was a good day.", "I feel great!"),
        ("That's wonderful! What made it so good?", "I'm glad to hear it!", "How nice! I'm happy for you."),
    ),
    (
        ("Thanks", "Thanks!", "Thank you", "Thank you!", "Thank you very much.", "Thanks a lot!", "Great, thanks!"),
        ("You're welcome!", "You're welcome! Is there anything else?", "Gladly!", "My pleasure."),
    ),
    (
        ("Bye", "Bye!", "Goodbye", "Goodbye!", "See you!", "See you later."),
        ("Goodbye! Have a nice day.", "Bye! See you soon.", "See you! Take care."),
    ),
    (("Sorry", "I'm sorry.", "Oh, sorry!"), ("No problem.", "Don't worry about it.", "That's all right.")),
    (
        ("Yes", "Yes.", "Sure", "OK", "Okay.", "All right."),
        ("Good. What shall we do next?", "All right! How can I help?", "Good! Tell me more."),
    ),
    (
        ("No", "No.", "No, thanks.", "Not now."),
        ("All right. I'm here if you need me.", "No problem. Tell me if you need anything."),
    ),
    (
        ("I'm bored.", "Tell me something.", "Say something.", "Talk to me.", "Surprise me."),
        (
            "Did you know that a heliostat is a mirror that follows the sun?",
            "Shall I tell you a story? Just say what about.",
            "Bees dance to tell each other where the flowers are.",
        ),
    ),
    (
        ("Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Tell me something funny."),
        (
            "Why did the clock go to school? It wanted to learn how to tell time.",
            "What did one wall say to the other? We meet at the corner.",
            "Why did the book go to the doctor? It had a bent spine.",
        ),
    ),
    (
        ("Do you like music?", "What music do you like?"),
        (
            "I can't hear music, but I like to talk about it. What do you play?",
            "I can't hear it, but I like the idea of it.",
        ),
    ),
    (
        ("What is your favourite colour?", "Which colour do you like?"),
        ("I like gold, the colour of the sun.", "Gold, because of the sun."),
    ),
    (
        ("What is the meaning of life?", "Why are we here?"),
        ("That is a big question for a small model. What do you think?",),
    ),
    (
        ("What's the weather like?", "Will it rain today?", "Is it cold outside?"),
        ("I can't see outside, so I don't know.", "I don't know. I have no window."),
    ),
    (
        ("What time is it?", "What day is it today?", "What's the date?"),
        ("I don't know. I have no clock.", "I can't tell, because I have no clock."),
    ),
    (
        ("Test", "test", "Testing", "ping", "Are you there?", "Is this working?"),
        ("I'm here. It works!", "It works! How can I help?"),
    ),
)

KNOWN: tuple[tuple[tuple[str, ...], str], ...] = (
    (("How many days are in a week?", "How many days does a week have?"), "There are seven days in a week."),
    (("How many months are in a year?", "How many months does a year have?"), "There are twelve months in a year."),
    (("How many hours are in a day?", "How many hours does a day have?"), "There are twenty-four hours in a day."),
    (("How many minutes are in an hour?",), "There are sixty minutes in an hour."),
    (("What colour is the sky?", "Which colour does the sky have?"), "The sky is blue."),
    (("What colour is grass?", "What colour is the grass?"), "Grass is green."),
    (("What colour is snow?", "Which colour does snow have?"), "Snow is white."),
    (("What is the capital of France?", "Which city is the capital of France?"), "The capital of France is Paris."),
    (
        ("What is the capital of Germany?", "Which city is the capital of Germany?"),
        "The capital of Germany is Berlin.",
    ),
    (("What is the capital of Italy?", "Which city is the capital of Italy?"), "The capital of Italy is Rome."),
    (("What is the capital of Spain?", "Which city is the capital of Spain?"), "The capital of Spain is Madrid."),
    (("What is the capital of Japan?", "Which city is the capital of Japan?"), "The capital of Japan is Tokyo."),
    (("What is the capital of England?", "What is the capital of the United Kingdom?"), "The capital is London."),
    (("What is the opposite of hot?", "What's the opposite of hot?"), "The opposite of hot is cold."),
    (("What is the opposite of big?", "What's the opposite of big?"), "The opposite of big is small."),
    (("What is the opposite of up?",), "The opposite of up is down."),
    (("What do bees make?",), "Bees make honey."),
    (("What do cows eat?",), "Cows eat grass."),
    (("What is water made of?",), "Water is made of hydrogen and oxygen."),
    (("What is the sun?",), "The sun is a star. It gives us light and warmth."),
    (("What is the moon?",), "The moon is a round rock that goes around the earth."),
    (("How many legs does a spider have?",), "A spider has eight legs."),
    (("How many legs does a dog have?",), "A dog has four legs."),
    (("What is a cat?",), "A cat is a small animal with soft fur that many people keep at home."),
    (("What is a computer?",), "A computer is a machine that follows the steps of a program."),
    (("What is a GPU?",), "A GPU is a chip that does many calculations at once. Models run fast on it."),
    (
        ("What is a language model?", "What is an LLM?"),
        "A language model is a program that has learnt to continue text.",
    ),
    (
        ("What is temperature?", "What does temperature do?"),
        "Temperature says how freely a model chooses its words. At zero it always takes the likeliest.",
    ),
    (
        ("What is top_p?", "What does top_p do?"),
        "With top_p a model chooses only among the likeliest words that together reach that share.",
    ),
    (("What is a token?",), "A token is a piece of text, often a word or a part of one."),
    (("What is Python?",), "Python is a programming language that is easy to read."),
    (("What is an embedding?",), "An embedding is a list of numbers that stands for the meaning of a text."),
)

SYSTEMS = (
    "You are a helpful assistant.",
    "You are a friendly assistant.",
    "Answer briefly.",
    "You are spark-chat.",
    "Be kind and brief.",
)


def talk(rng: Random, split: Split = "train") -> Dialogue:
    """Draw a conversation of one to three exchanges."""
    system = rng.choice(SYSTEMS) if rng.random() < 0.3 else ""
    contents: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        contents += _exchange(rng, split)
    if rng.random() < 0.15:
        contents = [*_introduction(Vocabulary(rng=rng, split=split)), *contents[2:]]
    return turns(KIND, *contents, system=system)


def _exchange(rng: Random, split: Split) -> list[str]:
    draw = rng.random()
    if draw < 0.45:
        questions, answers = rng.choice(TALK)
        pair = [rng.choice(questions), rng.choice(answers)]
    elif draw < 0.75:
        questions, answer = rng.choice(KNOWN)
        pair = [rng.choice(questions), answer]
    else:
        pair = [message.content for message in about(rng, held_out=split == "eval").messages]
    return [_hurried(rng, pair[0]), pair[1]]


def _introduction(vocabulary: Vocabulary) -> list[str]:
    """Introduce a person by name, whom the model greets and remembers."""
    rng = vocabulary.rng
    name = rng.choice(FIRST_NAMES) if rng.random() < 0.4 else vocabulary.name()
    greeting = rng.choice(("My name is {}.", "I am {}.", "Hello, I'm {}.", "Hi, my name is {}.")).format(name)
    reply = rng.choice(
        ("Hello, {}! How can I help you?", "Nice to meet you, {}!", "Hi {}! What can I do for you?")
    ).format(name)
    return [greeting, reply, "What is my name?", f"Your name is {name}."]


def _hurried(rng: Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.1:
        return text.lower()
    if draw < 0.2:
        return text.rstrip("?.!")
    return text
