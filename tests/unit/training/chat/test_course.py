"""spark-chat's recipe, and its data as the loop gets it."""

from itertools import islice
from random import Random

import pytest

from pipelines.training.chat.batches import encode
from pipelines.training.chat.mixture import LAST, draw
from pipelines.training.chat.recipe import RECIPE
from pipelines.training.prompts import END, Dialogue, Message, render
from pipelines.training.tokenizer import Tokenizer, train_tokenizer

SHAPE = RECIPE.shape


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    rng = Random(1)
    return train_tokenizer(1024, (render(draw(rng, LAST).messages) for _ in range(300)))


def test_spark_chat_stays_as_small_as_promised() -> None:
    assert 3_000_000 < SHAPE.parameters < 8_000_000
    assert SHAPE.parameters * 2 < 16_000_000  # bytes, in bfloat16
    assert SHAPE.head_dim * SHAPE.heads == SHAPE.hidden


def test_the_configuration_describes_the_architecture() -> None:
    config = SHAPE.config(begin=1, end=2, pad=0)
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["hidden_size"] == SHAPE.hidden
    assert config["tie_word_embeddings"] is True
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 0)


def test_the_vocabulary_has_the_wanted_size_and_encodes_any_bytes(tokenizer: Tokenizer) -> None:
    text = "naïve Ω 日本 \U0001f642\ttab"
    assert tokenizer.get_vocab_size() == 1024
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_assistants_tokens_alone_are_learnt(tokenizer: Tokenizer) -> None:
    dialogue = Dialogue(
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content="What is it?"),
            Message(role="assistant", content="A lamp."),
        ),
        kind="test",
    )
    encoded = encode(tokenizer, dialogue)
    learnt = [token for token, own in zip(encoded.tokens, encoded.learnt, strict=True) if own]
    assert learnt == [*tokenizer.encode("A lamp.").ids, tokenizer.token_to_id(END)]


def test_training_encodes_as_servers_do(tokenizer: Tokenizer) -> None:
    rng = Random(2)
    for dialogue in islice(iter(lambda: draw(rng, LAST), None), 50):
        assert encode(tokenizer, dialogue).tokens == tokenizer.encode(render(dialogue.messages)).ids
