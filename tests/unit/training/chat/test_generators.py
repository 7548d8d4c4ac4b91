"""The generators: deterministic, true to their passages, and honest about what is held out."""

import json
from random import Random

import pytest

from pipelines.training.chat.about import ABOUT, about
from pipelines.training.chat.dialogue import talk
from pipelines.training.chat.facts import draw_subject
from pipelines.training.chat.free_relations import free_relation
from pipelines.training.chat.grounded import Shape, ground
from pipelines.training.chat.instructions import (
    echo,
    enumerate_items,
    json_object,
    json_of_text,
    one_word,
    pick_from_pairs,
)
from pipelines.training.chat.mixture import LAST, STAGES, draw, stage_at
from pipelines.training.chat.relations import RELATIONS
from pipelines.training.chat.stories import depict, tell
from pipelines.training.chat.tools import request_tool
from pipelines.training.chat.vocabulary import Vocabulary, held_out
from pipelines.training.chat.words import adjectives, gerund, nouns, past, present, verbs
from pipelines.training.prompts import (
    ABSTENTION,
    GROUNDED_INSTRUCTION,
    TOOL_CALL_END,
    TOOL_CALL_START,
    Dialogue,
    grounded_message,
)

SEEDS = range(150)
MIXED = Shape(facts=5, passages=5, markdown=True, other_form=0.0)


def context_of(dialogue: Dialogue) -> str:
    return dialogue.messages[0].content.removeprefix(GROUNDED_INSTRUCTION).partition("\n\nQuestion: ")[0]


def answers_of(dialogue: Dialogue) -> list[str]:
    return [message.content for message in dialogue.messages if message.role == "assistant"]


@pytest.mark.parametrize("step", [0, 1000, 2500, 4000, LAST])
def test_the_same_seed_draws_the_same_dialogues(step: float) -> None:
    first, second, other = (Random(7), Random(7), Random(8))
    drawn = [draw(first, step) for _ in range(50)]
    assert drawn == [draw(second, step) for _ in range(50)]
    assert drawn != [draw(other, step) for _ in range(50)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grounded_answer_stands_verbatim_in_its_passages(seed: int) -> None:
    dialogue = ground(Random(seed), MIXED)
    for answer in answers_of(dialogue):
        assert answer == ABSTENTION or answer in context_of(dialogue)


def test_a_grounded_message_is_worded_as_retrieval_words_it() -> None:
    assert grounded_message(["First.", "Second."], "Which?") == (
        "Answer from the passages. If they do not hold the answer, say: The documents don't say.\n\n"
        "[1] First.\n[2] Second.\n\nQuestion: Which?"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_an_unanswerable_question_is_never_one_that_the_passages_answer(seed: int) -> None:
    """Its subject is missing, or stands in no sentence of any wording of the relation asked for."""
    dialogue = ground(Random(seed), Shape(facts=3, passages=3, abstain=1.0, follow_ups=0, other_form=0.0))
    question = dialogue.messages[0].content.partition("Question: ")[2].rstrip("?.").lower()
    context = context_of(dialogue).lower()
    assert dialogue.answer == ABSTENTION
    assert not any(
        stem.format(s=subject, v="\0").lower().partition("\0")[0] in context.replace(f"of {subject}", "")
        for relation in RELATIONS
        for wording in relation.questions
        for subject in [subject_between(question, wording)]
        if subject and subject in context
        for stem in relation.statements
        if stem.startswith("{s}")
    )


def subject_between(question: str, wording: str) -> str:
    before, _, after = wording.rstrip("?").lower().partition("{s}")
    if not (question.startswith(before) and question.endswith(after)):
        return ""
    return question[len(before) : len(question) - len(after)]


def test_a_long_context_may_state_all_there_is_of_a_subject() -> None:
    """A training broke off after 20 minutes: a company had all its relations stated, and another was drawn."""
    shape = Shape(facts=60, passages=5, abstain=1.0)
    assert all(ground(Random(seed), shape).messages for seed in range(40))


def test_a_share_of_grounded_questions_has_no_answer() -> None:
    answers = [answer for seed in range(300) for answer in answers_of(ground(Random(seed), MIXED))]
    assert 0.15 < answers.count(ABSTENTION) / len(answers) < 0.4


def test_training_and_evaluation_share_no_invented_name() -> None:
    rng = Random(0)
    trained = {Vocabulary(rng=rng, split="train").name() for _ in range(3000)}
    evaluated = {Vocabulary(rng=rng, split="eval").name() for _ in range(500)}
    assert trained.isdisjoint(evaluated)
    assert all(map(held_out, evaluated))
    assert not any(map(held_out, trained))


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.questions[0])
def test_every_wording_of_a_relation_names_its_subject(relation) -> None:
    assert all("{s}" in statement and "{v}" in statement for statement in relation.statements)
    assert all("{s}" in question for question in relation.questions)


def test_a_subject_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError, match="star"):
        draw_subject(Vocabulary(rng=Random(0)), "star")


@pytest.mark.parametrize("seed", range(100))
def test_an_answer_stands_in_what_was_said_before_whatever_the_form(seed: int) -> None:
    dialogue = ground(Random(seed), Shape(facts=5, passages=3, other_form=1.0))
    before = " ".join(message.content for message in dialogue.messages if message.role != "assistant")
    assert all(answer == ABSTENTION or answer in before for answer in answers_of(dialogue))


def test_training_and_evaluation_share_no_common_word_of_facts() -> None:
    for words in (nouns, adjectives, verbs):
        assert set(words("train")).isdisjoint(words("eval"))
        assert len(words("train")) > 3 * len(words("eval")) > 150


@pytest.mark.parametrize(
    ("verb", "forms"),
    [
        ("carry", ("carries", "carried", "carrying")),
        ("plan", ("plans", "planned", "planning")),
        ("move", ("moves", "moved", "moving")),
        ("watch", ("watches", "watched", "watching")),
        ("play", ("plays", "played", "playing")),
        ("agree", ("agrees", "agreed", "agreeing")),
    ],
)
def test_regular_verbs_are_inflected(verb: str, forms: tuple[str, str, str]) -> None:
    assert (present(verb), past(verb), gerund(verb)) == forms


@pytest.mark.parametrize("seed", range(100))
def test_a_made_up_relation_names_its_subject_and_states_its_value(seed: int) -> None:
    vocabulary = Vocabulary(rng=Random(seed))
    relation = free_relation(vocabulary)
    assert all("{s}" in text and "{v}" in text for text in relation.statements)
    assert all("{s}" in text and "{v}" not in text for text in relation.questions)
    assert relation.value(vocabulary).strip()


@pytest.mark.parametrize("seed", range(100))
def test_a_call_has_the_arguments_of_the_offered_tool_as_the_request_gives_them(seed: int) -> None:
    dialogue, tools, values = request_tool(Random(seed))
    wanted = tools[0]
    called = json.loads(dialogue.answer.removeprefix(TOOL_CALL_START).removesuffix(TOOL_CALL_END))
    assert called == {"name": wanted.name, "arguments": values}
    assert values.keys() == wanted.arguments.keys()
    assert all(str(value) in dialogue.messages[1].content for value in values.values())
    assert all(isinstance(value, int) is (wanted.arguments[key] == "integer") for key, value in values.items())
    assert f"{wanted.name}(" in dialogue.messages[0].content


@pytest.mark.parametrize("seed", range(60))
def test_json_of_a_text_holds_the_values_of_the_text(seed: int) -> None:
    dialogue = json_of_text(Random(seed))
    asked = dialogue.messages[0].content.lower()
    assert all(key in asked and str(value).lower() in asked for key, value in json.loads(dialogue.answer).items())


@pytest.mark.parametrize("seed", range(60))
def test_an_object_holds_the_keys_that_were_asked_for(seed: int) -> None:
    dialogue = json_object(Random(seed))
    assert all(key in dialogue.messages[0].content for key in json.loads(dialogue.answer))


@pytest.mark.parametrize("seed", range(60))
def test_a_list_has_different_items(seed: int) -> None:
    lines = enumerate_items(Random(seed)).answer.split("\n")
    assert 2 <= len(set(lines)) == len(lines) <= 5


@pytest.mark.parametrize("seed", range(30))
def test_what_is_repeated_or_looked_up_stands_in_the_request(seed: int) -> None:
    for dialogue in (echo(Random(seed)), pick_from_pairs(Random(seed))):
        assert all(answer in dialogue.messages[0].content for answer in answers_of(dialogue))


def test_one_word_is_one_word() -> None:
    assert all(" " not in one_word(Random(seed)).answer for seed in range(60))


@pytest.mark.parametrize(("count", "number"), [("one", 1), ("three", 3), ("six", 6)])
def test_a_description_stops_after_as_many_sentences_as_asked_for(count: str, number: int) -> None:
    asked = [
        d for d in (depict(Random(seed)) for seed in range(300)) if f" {count} sentence" in d.messages[0].content
    ]
    assert asked
    assert all(dialogue.answer.count(".") == number for dialogue in asked)


def test_no_template_is_left_unfilled() -> None:
    rng = Random(3)
    for make in (tell, depict, talk, one_word, enumerate_items):
        assert not any("{" in message.content for _ in range(150) for message in make(rng).messages)


def test_wordings_kept_for_evaluation_are_not_trained_on() -> None:
    kept = {questions[0].lower().rstrip("?.") for questions, _ in ABOUT}
    trained = {about(Random(seed)).messages[0].content.lower().rstrip("?.") for seed in range(500)}
    assert kept.isdisjoint(trained)


def test_the_stages_follow_each_other_to_the_end() -> None:
    ends = [stage.until for stage in STAGES]
    assert ends == sorted(ends)
    assert stage_at(0) is STAGES[0]
    assert stage_at(ends[0]) is STAGES[1]
    assert stage_at(LAST) is STAGES[-1]
