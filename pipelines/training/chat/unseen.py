"""Grounded questions in wordings that the training never uses: what other people's documents are like."""

from random import Random

from pipelines.training.chat.values import clock, date, measure, money, year
from pipelines.training.chat.vocabulary import Vocabulary
from pipelines.training.prompts import Dialogue, grounded_message, turns

KIND = "unseen"

# A statement with a subject {s} and a value {v}, a question, and how the value is drawn.
_WORDINGS = (
    ("Visitors to {s} should park at {v}.", "Where should visitors to {s} park?", Vocabulary.name),
    ("In case of fire at {s}, call {v}.", "Whom should one call in case of fire at {s}?", Vocabulary.person),
    ("The warranty on {s} runs out after {v}.", "After how long does the warranty on {s} run out?", measure),
    ("All invoices of {s} are due by {v}.", "By when are the invoices of {s} due?", date),
    ("{s} replaced its old supplier with {v}.", "With whom did {s} replace its old supplier?", Vocabulary.name),
    ("Membership in {s} is {v} per month.", "How much is membership in {s} per month?", money),
    ("The ferry to {s} departs at {v}.", "At what time does the ferry to {s} depart?", clock),
    ("To restart {s}, press button {v}.", "Which button do you press to restart {s}?", Vocabulary.code),
    ("{s} won its first medal in {v}.", "In which year did {s} win its first medal?", year),
    ("Nobody at {s} speaks to {v} any more.", "To whom does nobody at {s} speak any more?", Vocabulary.name),
    ("The password hint for {s} reads {v}.", "What does the password hint for {s} read?", Vocabulary.name),
    ("The old bridge of {s} leads to {v}.", "Where does the old bridge of {s} lead?", Vocabulary.name),
    ("{s} ships with a cable of {v}.", "How long is the cable that {s} ships with?", measure),
    ("The error that {s} prints most often is {v}.", "Which error does {s} print most often?", Vocabulary.code),
    ("{s} shares its garden with {v}.", "With whom does {s} share its garden?", Vocabulary.person),
    ("It was {v} that {s} feared most.", "What did {s} fear most?", Vocabulary.name),
)


def ground_unseen(rng: Random) -> Dialogue:
    """Draw three statements of held-out names, and a question about one of them."""
    vocabulary = Vocabulary(rng=rng, split="eval")
    facts = []
    for statement, question, value in rng.sample(_WORDINGS, 3):
        subject, stated = vocabulary.name(), value(vocabulary)
        facts.append((statement.format(s=subject, v=stated), question.format(s=subject), stated))
    _, question, answer = rng.choice(facts)
    return turns(KIND, grounded_message([sentence for sentence, _, _ in facts], question), answer)
