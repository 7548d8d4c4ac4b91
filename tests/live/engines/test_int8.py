"""all-MiniLM-L6-v2 with its products in int8: close to float32 for all texts, and the same however it is asked."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cluster.engines import packed_bert, sentence
from cluster.engines.int8 import Int8Linear, Seen, int8_gains
from cluster.engines.packed_bert import EXACT_BELOW, Linear
from cluster.engines.sentence import SentenceEngine
from cluster.errors import StartFailed
from cluster.settings.engines import SentenceSettings
from tests.live.conftest import ROOT
from tests.live.engines.test_packed_bert import saved

# The warnings are those of torch's and transformers' own modules as they are imported.
pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore")]

PROMISED = 0.999
LANGUAGES = (
    "Gestern Abend fiel im ganzen Viertel der Strom aus, und niemand wusste, warum es so lange dauerte.",
    "La biblioteca cierra a las ocho, pero los martes se queda abierta hasta la medianoche para los estudiantes.",
    "Вчера вечером во всём районе отключили свет, и никто не знал, почему это продолжалось так долго.",
    "図書館は八時に閉まりますが、火曜日は学生のために真夜中まで開いています。",
    "昨晚整个街区都停电了，没有人知道为什么要等这么久才恢复供电。",
    "تغلق المكتبة أبوابها في الثامنة، لكنها تبقى مفتوحة حتى منتصف الليل يوم الثلاثاء.",
    "पुस्तकालय आठ बजे बंद होता है लेकिन मंगलवार को आधी रात तक खुला रहता है।",
)


def started(**settings: str) -> SentenceEngine:
    engine = SentenceEngine(SentenceSettings.model_validate(settings))
    engine.start()
    return engine


@pytest.fixture(scope="module")
def engine() -> SentenceEngine:
    if not int8_gains():
        pytest.skip("this processor has no AVX-512 VNNI: int8 is not taken here")
    return started(dtype="int8")


@pytest.fixture(scope="module")
def exact() -> SentenceEngine:
    return started(dtype="float32")


def pieces(suffix: str, count: int) -> list[str]:
    """Parts of this project's own files, of 60 to 1,500 characters."""
    rng = random.Random(3)
    files = [
        path.read_text() for path in sorted((ROOT / "cluster").rglob(suffix)) + sorted(ROOT.glob("docs/" + suffix))
    ]
    files = [text for text in files if len(text) > 1600]
    found = []
    for text in rng.choices(files, k=count):
        first = rng.randrange(len(text) - 1500)
        found.append(text[first : first + rng.randint(60, 1500)])
    return found


def texts() -> dict[str, list[str]]:
    rng = random.Random(4)
    words = " ".join(pieces("*.md", 8)).split()
    return {
        "prose": pieces("*.md", 20),
        "code": pieces("*.py", 20),
        "languages": list(LANGUAGES),
        "numbers": [" ".join(str(rng.random() * 10 ** rng.randint(0, 9)) for _ in range(n)) for n in (3, 9, 40)],
        "one word again and again": [
            "sun " * 40,
            "! " * 60,
            "yes " * 30,
            "北京" * 30,
            "the cat sat on the mat " * 6,
        ],
        "any words": [" ".join(rng.choices(words, k=n)) for n in (8, 12, 16, 24, 48, 96, 200)],
        "short": ["Thanks!", "ok", "42", "?", "Hello world", "3.14159", "SELECT * FROM t;"],
    }


@pytest.mark.parametrize("kind", texts())
def test_the_vectors_of_every_kind_of_text_are_close(
    engine: SentenceEngine, exact: SentenceEngine, kind: str
) -> None:
    given = texts()[kind]
    ours, theirs = engine.embed(given).vectors, exact.embed(given).vectors
    assert np.sum(ours * theirs, axis=1).min() >= PROMISED


def test_those_of_few_different_tokens_are_those_of_float32(engine: SentenceEngine, exact: SentenceEngine) -> None:
    for letters in (1, EXACT_BELOW - 3, EXACT_BELOW - 2):
        text = " ".join("abcdefghijklmnopqrstuvwxyz"[:letters]) + " a" * 20  # between two special tokens
        same = np.allclose(engine.embed([text]).vectors, exact.embed([text]).vectors, atol=1e-6)
        assert same == (letters + 2 < EXACT_BELOW)


def test_a_text_s_vector_does_not_depend_on_what_stands_beside_it(engine: SentenceEngine) -> None:
    given = [text for kind in texts().values() for text in kind]
    together = engine.embed(given).vectors
    for at in range(0, len(given), 5):
        assert np.allclose(engine.embed([given[at]]).vectors[0], together[at], atol=1e-5)


def test_calls_of_several_threads_do_not_disturb_each_other(engine: SentenceEngine) -> None:
    groups = [[text] * 3 for text in texts()["prose"][:8]]
    alone = [engine.embed(group).vectors for group in groups]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, wanted in zip(
                pool.map(lambda group: engine.embed(group).vectors, groups), alone, strict=True
            ):
                assert np.allclose(found, wanted, atol=1e-5)


def test_a_product_leaves_what_it_is_given(engine: SentenceEngine) -> None:
    import torch

    torch.manual_seed(0)
    product = Linear(weight=torch.randn(24, 32), bias=torch.randn(24))
    given = torch.randn(64, 32)
    given[:, 5] *= 40
    seen = Seen(product)
    seen(given)
    before = given.clone()
    made = Int8Linear(seen)(given)
    assert torch.equal(given, before)
    assert float((made - product(given)).norm() / product(given).norm()) < 0.01
    with pytest.raises(ValueError, match="never given"):
        Int8Linear(Seen(product))


def test_auto_takes_it_where_it_is_close_enough_only(
    engine: SentenceEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert packed_of(started()).in_int8
    assert packed_of(engine).in_int8
    monkeypatch.setattr(packed_bert, "CLOSE_ROUNDED", 1.1)
    assert not packed_of(started()).in_int8
    with pytest.raises(StartFailed, match="int8"):
        started(dtype="int8")


def test_a_large_model_is_rounded_if_somebody_asks(engine: SentenceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence, "QUICKLY_ROUNDED", packed_of(engine).weights - 1)
    assert not packed_of(started()).in_int8
    assert packed_of(started(dtype="int8")).in_int8


def test_a_processor_without_it_stays_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence, "int8_gains", lambda: False)
    assert not packed_of(started()).in_int8
    with pytest.raises(StartFailed, match="cannot be computed in int8 here") as caught:
        started(dtype="int8")
    assert "AVX-512 VNNI" in (caught.value.hint or "")


def test_an_architecture_that_is_left_to_the_library_is_not_int8(tmp_path: Path) -> None:
    source = saved(tmp_path, hidden_act="relu")
    SentenceEngine(SentenceSettings(), source=source).start()
    with pytest.raises(StartFailed, match="cannot be computed in int8 here"):
        SentenceEngine(SentenceSettings(dtype="int8"), source=source).start()


def test_a_model_that_reads_all_texts_alike_stays_in_float32(tmp_path: Path) -> None:
    engine = SentenceEngine(SentenceSettings(), source=saved(tmp_path))
    engine.start()
    assert not packed_of(engine).in_int8


@pytest.mark.parametrize("size", [(19, 37), (64, 30), (1, 5)])
def test_products_of_any_size_are_close(engine: SentenceEngine, size: tuple[int, int]) -> None:
    import torch

    made = torch.Generator().manual_seed(1)
    product = Linear(weight=torch.randn(size, generator=made), bias=torch.randn(size[0], generator=made))
    given = torch.randn(100, size[1], generator=made)
    seen = Seen(product)
    seen(given)
    found = Int8Linear(seen)
    for rows in (1, 63, 100):
        assert float((found(given[:rows]) - product(given[:rows])).norm() / product(given[:rows]).norm()) < 0.02


def packed_of(engine: SentenceEngine) -> packed_bert.PackedBert:
    found = engine._model().packed
    assert found is not None
    return found
