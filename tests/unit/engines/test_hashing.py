import numpy as np
import pytest

from cluster.engines.hashing import CONTEXT_LENGTH, HashEmbedder
from cluster.errors import BadRequest, UnsupportedParameter
from cluster.settings.engines import HashSettings
from cluster.types import Task


@pytest.fixture
def engine() -> HashEmbedder:
    engine = HashEmbedder(HashSettings(dimensions=64))
    engine.start()
    return engine


def test_vectors_have_unit_length_and_the_set_dimensions(engine: HashEmbedder) -> None:
    vectors = engine.embed(["the sun", "a mirror follows the sun", "!"]).vectors
    assert vectors.shape == (3, 64)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)


def test_the_same_text_gives_the_same_vector_anywhere(engine: HashEmbedder) -> None:
    other = HashEmbedder(HashSettings(dimensions=64))
    assert np.array_equal(engine.embed(["the sun"]).vectors, other.embed(["x", "the sun"]).vectors[1:])


def test_texts_that_share_words_are_closer(engine: HashEmbedder) -> None:
    query, near, far = engine.embed(
        ["how does the mirror follow the sun", "the mirror can follow the sun", "cats drink milk quietly"]
    ).vectors
    assert query @ near > 0.6
    assert abs(query @ far) < 0.3


def test_case_and_punctuation_matter_little(engine: HashEmbedder) -> None:
    one, other = engine.embed(["The Sun!", "the sun"]).vectors
    assert one @ other == pytest.approx(1)


def test_tokens_are_words_and_marks(engine: HashEmbedder) -> None:
    text = "Héllo, world"
    assert [text[start:end] for start, end in engine.tokenize(text)] == ["Héllo", ",", "world"]
    assert engine.embed([text]).tokens == (3,)


def test_a_text_over_the_context_is_cut_and_counted(engine: HashEmbedder) -> None:
    found = engine.embed(["word " * (CONTEXT_LENGTH + 1), "word"])
    assert found.truncated == 1
    assert found.tokens[1] == 1


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_refused_by_its_place(engine: HashEmbedder, text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        engine.embed(["fine", text])
    assert caught.value.param == "input[1]"


def test_token_ids_are_refused(engine: HashEmbedder) -> None:
    with pytest.raises(UnsupportedParameter):
        engine.embed([[1, 2]])


def test_it_knows_itself(engine: HashEmbedder) -> None:
    assert engine.capabilities.task is Task.EMBEDDING
    assert engine.capabilities.dimensions == 64
    assert engine.revision != HashEmbedder(HashSettings(dimensions=32)).revision


def test_what_it_reads_embeds_to_the_same(engine: HashEmbedder) -> None:
    reading = engine.read(["the sun, the mirror", "sun " * (CONTEXT_LENGTH + 1)])
    assert reading.sizes == (5, CONTEXT_LENGTH)
    assert reading.truncated == 1
    assert np.array_equal(engine.embed(reading.items[:1]).vectors, engine.embed(["the sun, the mirror"]).vectors)
    with pytest.raises(BadRequest):
        engine.read([""])
