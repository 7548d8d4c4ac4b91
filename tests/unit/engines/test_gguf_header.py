import random
import struct
from pathlib import Path

import pytest

from cluster.engines.gguf_header import MAX_ITEMS, BadGguf, check, read_header, shards
from tests.unit.engines.gguf_files import tiny, write_gguf


def test_a_header_tells_what_a_list_of_models_shows(tmp_path: Path) -> None:
    file = tiny(tmp_path / "Qwen 2.5 (chat)-Q4_K_M.gguf", general__file_type=15)
    found = read_header(file)
    assert (found.id, found.name, found.architecture) == ("Qwen-2.5-chat-Q4_K_M", "Tiny", "llama")
    assert (found.context_length, found.quantization, found.vocabulary) == (512, "Q4_K_M", 4)
    assert found.chat_template == "{{ messages }}"
    assert found.size == file.stat().st_size
    assert found.control == {0: "<pad>", 1: "<|user|>"}
    assert found.shards == 1


def test_the_cache_of_a_token_is_keys_and_values_of_all_layers(tmp_path: Path) -> None:
    assert read_header(tiny(tmp_path / "a.gguf")).cache == 2 * 2 * (16 + 16) * 2
    wide = tiny(tmp_path / "b.gguf", llama__attention__key_length=32, llama__attention__value_length=8)
    assert read_header(wide).cache == 2 * 2 * (32 + 8) * 2
    uneven = tiny(tmp_path / "c.gguf", llama__attention__head_count_kv=[2, 0])
    assert read_header(uneven).cache == 2 * (16 + 16) * 2
    assert read_header(tiny(tmp_path / "d.gguf", llama__attention__head_count=None)).cache is None


def test_what_a_file_does_not_say_is_empty(tmp_path: Path) -> None:
    found = read_header(write_gguf(tmp_path / "x.gguf", {"general.architecture": "llama"}))
    assert (found.name, found.context_length, found.quantization, found.chat_template) == ("x", 0, "", None)
    assert (found.vocabulary, found.cache, found.control, found.sampling) == (0, None, {}, {})


def test_the_makers_sampling_is_told_by_our_names(tmp_path: Path) -> None:
    file = tiny(tmp_path / "a.gguf", general__sampling__temp=0.5, general__sampling__top_k=20)
    assert read_header(file).sampling == {"temperature": 0.5, "top_k": 20}


def test_a_model_in_several_files_is_one(tmp_path: Path) -> None:
    first = tiny(tmp_path / "big-00001-of-00002.gguf")
    second = write_gguf(tmp_path / "big-00002-of-00002.gguf", {"split.no": 1})
    found = read_header(first)
    assert shards(first) == [first, second]
    assert (found.id, found.shards) == ("big", 2)
    assert found.size == first.stat().st_size + second.stat().st_size
    second.unlink()
    with pytest.raises(FileNotFoundError):
        read_header(first)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no GGUF"),
        (b"GGUF", "no GGUF"),
        (b"PK\x03\x04" + bytes(40), "no GGUF"),
        (b"<html>Not found</html>" + bytes(40), "no GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0), "tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "entries"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1), "cut off"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "longer than it can be"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "architecture"),
    ],
)
def test_what_is_no_model_is_refused_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(BadGguf, match=reason):
        read_header(tmp_path / "a.gguf")


def test_a_list_longer_than_any_vocabulary_is_not_walked(tmp_path: Path) -> None:
    entry = struct.pack("<Q1sIIQ", 1, b"k", 9, 8, MAX_ITEMS + 1)
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry + bytes(64))
    with pytest.raises(BadGguf, match="list"):
        read_header(tmp_path / "a.gguf")


def test_weights_that_are_cut_off_are_missed(tmp_path: Path) -> None:
    file = tiny(tmp_path / "a.gguf")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BadGguf, match="cut off: 1 bytes"):
        read_header(file)


def test_a_header_cut_anywhere_is_an_error_and_never_another(tmp_path: Path) -> None:
    whole = tiny(tmp_path / "a.gguf").read_bytes()
    for size in range(0, len(whole) - 1, 41):
        (tmp_path / "cut.gguf").write_bytes(whole[:size])
        with pytest.raises(BadGguf):
            check(tmp_path / "cut.gguf")


def test_damaged_bytes_are_read_or_refused(tmp_path: Path) -> None:
    whole, draw = bytearray(tiny(tmp_path / "a.gguf").read_bytes()[:800]), random.Random(7)
    whole += bytes(2000)
    read = refused = 0
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(700)] = draw.randrange(256)
        (tmp_path / "b.gguf").write_bytes(damaged)
        try:
            read_header(tmp_path / "b.gguf")
        except BadGguf:  # any other error fails the test
            refused += 1
        else:
            read += 1
    assert min(read, refused) > 0
