from random import Random

from pipelines.training.chat.clauses import clause_relation
from pipelines.training.chat.facts import draw_subject, state
from pipelines.training.chat.vocabulary import Vocabulary

KINDS = ("person", "town", "device", "company")


def drawn(seed: int):
    rng = Random(seed)
    vocabulary = Vocabulary(rng=rng)
    kind = rng.choice(KINDS)
    relation = clause_relation(vocabulary, kind)
    return relation, state(vocabulary, relation, draw_subject(vocabulary, kind))


def test_the_statement_holds_the_answer_and_the_question_does_not_ask_for_a_placeholder() -> None:
    for seed in range(2_000):
        relation, fact = drawn(seed)
        assert fact.answer in fact.sentence
        assert fact.sentence.endswith(".")
        assert fact.question.endswith("?")
        assert "{" not in fact.sentence + fact.question
        assert all("{v}" not in question for question in relation.questions)


def test_hardly_any_clause_comes_twice() -> None:
    wordings = {drawn(seed)[0].statements for seed in range(2_000)}
    assert len(wordings) > 1_900
