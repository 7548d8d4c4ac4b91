"""The forward pass without padding, on tiny random models: equal to the library's own, or not taken."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.engines.lanes import Lanes
from cluster.engines.packed_bert import PackedBert, packed
from cluster.engines.sentence import SentenceEngine
from cluster.settings.engines import SentenceSettings

# The warnings are those of torch's and transformers' own modules as they are imported.
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore")]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "sun", "mirror", "tower", "light", "##s", "heat"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
LENGTHS = (1, 3, 3, 9, 20)


def saved(folder: Path, *, family: str = "bert", pooling: str = "mean", dense: bool = False, **config: Any) -> str:
    """A random model's folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(0)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), model_max_length=48)
    kinds = {"bert": (BertConfig, BertModel), "xlm-roberta": (XLMRobertaConfig, XLMRobertaModel)}
    settings, model = kinds[family]
    given = settings(vocab_size=len(WORDS), max_position_embeddings=64, pad_token_id=0, **SIZES, **config)
    model(given).save_pretrained(folder / "bare")
    tokenizer.save_pretrained(folder / "bare")
    words = Transformer(str(folder / "bare"), max_seq_length=40)
    parts = [words, Pooling(SIZES["hidden_size"], pooling_mode=pooling)]
    if dense:
        parts.append(Dense(SIZES["hidden_size"], 16))
    SentenceTransformer(modules=parts, device="cpu").save(str(folder / "whole"))
    return str(folder / "whole")


def loaded(source: str) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(source, device="cpu").eval()


def padded(model: Any, rows: list[list[int]]) -> np.ndarray:
    """The library's own vectors."""
    import torch

    ids = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    with torch.inference_mode():
        return model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"].numpy()


@pytest.mark.parametrize("kind", [{}, {"pooling": "cls"}, {"dense": True}, {"family": "xlm-roberta"}])
def test_the_vectors_are_the_library_s(kind: dict[str, Any], tmp_path: Path) -> None:
    model = loaded(saved(tmp_path, **kind))
    found = packed(model)
    assert isinstance(found, PackedBert)
    rows = [[5 + (at * length) % 7 for at in range(length)] for length in LENGTHS]
    assert np.allclose(found(rows), padded(model, rows), atol=1e-5)


@pytest.mark.parametrize("kind", [{"pooling": "max"}, {"hidden_act": "relu"}])
def test_another_architecture_is_left_to_the_library(kind: dict[str, Any], tmp_path: Path) -> None:
    source = saved(tmp_path, **kind)
    assert packed(loaded(source)) is None
    engine = SentenceEngine(SentenceSettings(batch_tokens=8), source=source)
    engine.start()
    texts = ["the sun", "mirrors", "the tower lights the mirror", "sun " * 100]
    found = engine.embed(texts)
    assert np.allclose(found.vectors, loaded(source).encode(texts, normalize_embeddings=True), atol=1e-5)
    assert found.truncated == 1


def test_a_forward_pass_that_disagrees_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded(saved(tmp_path))
    monkeypatch.setattr(PackedBert, "__call__", lambda self, rows: np.ones((len(rows), 32), dtype=np.float32))
    assert packed(model) is None


def test_a_lane_has_one_core_and_everyone_else_keeps_theirs() -> None:
    import torch

    cores = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        lanes = Lanes()
        assert lanes.count == 3
        assert set(lanes.map(lambda _: torch.get_num_threads(), range(9))) == {1}
        assert lanes.map(lambda _: torch.get_num_threads(), [0]) == [3]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(cores)


def test_the_work_s_results_keep_their_order_and_its_error_comes_through() -> None:
    lanes = Lanes()
    assert lanes.map(lambda given: given * 2, list(range(20))) == list(range(0, 40, 2))
    with pytest.raises(ZeroDivisionError):
        lanes.map(lambda given: 1 // given, [1, 0, 1])
