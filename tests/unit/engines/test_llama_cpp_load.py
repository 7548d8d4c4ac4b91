"""What llama.cpp is to load: which file, with how much context, on how many threads."""

from pathlib import Path
from typing import Any

import pytest

from cluster.engines.factory import chat_engine
from cluster.engines.gguf_header import read_header
from cluster.engines.llama_cpp import LlamaCppEngine
from cluster.engines.llama_cpp_load import context_of, planned, threads_for
from cluster.errors import EngineDead, StartFailed
from cluster.settings.engines import LlamaCppSettings
from cluster.settings.models import HubSettings
from cluster.settings.tree import Settings
from tests.unit.engines.gguf_files import tiny, write_gguf


def plan(source: Path | str, *, context_length: int | None = None, **engine: Any) -> Any:
    return planned("m", LlamaCppSettings(source=str(source), **engine), HubSettings(), context_length)


def test_a_file_a_folder_of_one_and_a_named_one_are_found(tmp_path: Path) -> None:
    file = tiny(tmp_path / "one.gguf")
    (tmp_path / "mmproj-one.gguf").write_bytes(b"")
    for found in (plan(file), plan(tmp_path), plan(tmp_path, file="one.gguf")):
        assert found.load.path == str(file)
        assert (found.load.context, found.load.sequences, len(found.revision)) == (512, 4, 12)


def test_a_folder_of_several_files_wants_a_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tiny(tmp_path / f"{name}.gguf")
    with pytest.raises(StartFailed, match=r"several GGUF files: a\.gguf, b\.gguf"):
        plan(tmp_path)
    assert plan(tmp_path, file="b.gguf").load.path.endswith("b.gguf")
    with pytest.raises(StartFailed, match=r"holds no c\.gguf"):
        plan(tmp_path, file="c.gguf")


def test_the_first_of_several_files_names_a_model(tmp_path: Path) -> None:
    first = tiny(tmp_path / "a-00001-of-00002.gguf")
    second = write_gguf(tmp_path / "a-00002-of-00002.gguf", {"split.no": 1})
    assert plan(tmp_path).load.path == str(first)
    second.write_bytes(b"GGUF")
    with pytest.raises(StartFailed, match="no GGUF file"):
        plan(tmp_path)
    second.unlink()
    with pytest.raises(StartFailed, match=r"a-00002-of-00002\.gguf: No such file"):
        plan(tmp_path)


@pytest.mark.parametrize("source", ["nowhere.gguf", "/no/such/file.gguf", "./models/none.gguf"])
def test_a_missing_file_is_told_when_the_engine_is_built(source: str) -> None:
    model = {"id": "m", "engine": {"kind": "llama_cpp", "source": source}}
    tree = Settings.model_validate({"models": [model]})
    with pytest.raises(StartFailed, match="does not exist"):
        chat_engine(tree.models[0], tree)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="holds no GGUF file"):
        plan(tmp_path)


def test_a_hub_id_needs_a_file_name() -> None:
    model = {"id": "m", "engine": {"kind": "llama_cpp", "source": "owner/name"}}
    tree = Settings.model_validate({"models": [model]})
    with pytest.raises(StartFailed, match="Hub") as caught:
        chat_engine(tree.models[0], tree)
    assert "engine.file" in (caught.value.hint or "")
    model["engine"]["file"] = "x.gguf"  # type: ignore[index]
    tree = Settings.model_validate({"models": [model]})
    assert isinstance(chat_engine(tree.models[0], tree), LlamaCppEngine)
    assert tree.task_of(tree.models[0]) == "chat"


def test_a_hub_file_that_is_not_here_is_told_with_its_command(tmp_path: Path) -> None:
    hub = HubSettings(offline=True, model_path=str(tmp_path))
    for name, pattern in (("x.gguf", "x.gguf"), ("x-00001-of-00003.gguf", "x-*-of-00003.gguf")):
        with pytest.raises(StartFailed) as caught:
            planned("m", LlamaCppSettings(source="owner/name", file=name), hub, None)
        assert f'hf download owner/name --include "{pattern}"' in caught.value.message


def test_a_damaged_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"<html>404</html>" + bytes(100))
    with pytest.raises(StartFailed, match=r"cannot be loaded from .*a\.gguf: it is no GGUF file"):
        plan(tmp_path / "a.gguf")


def test_the_context_is_the_smaller_of_what_is_wanted_and_what_there_is(tmp_path: Path) -> None:
    file = tiny(tmp_path / "a.gguf")
    assert plan(file, context_length=128).load.context == 128
    assert plan(file, context_length=4096).load.context == 512
    silent = tiny(tmp_path / "b.gguf", llama__context_length=None)
    assert plan(silent, context_length=64).load.context == 64
    with pytest.raises(StartFailed, match="how many tokens"):
        plan(silent)


def test_a_cache_that_does_not_fit_is_told_with_what_does(tmp_path: Path) -> None:
    header, settings = read_header(tiny(tmp_path / "a.gguf")), LlamaCppSettings(source="a.gguf", max_num_seqs=2)
    assert header.cache is not None
    free = 300 * 2 * header.cache
    with pytest.raises(StartFailed, match="KV cache") as caught:
        context_of("m", header, settings, None, free=free)
    assert "up to 300" in (caught.value.hint or "")
    assert context_of("m", header, settings, 300, free=free) == 300
    assert context_of("m", header, settings.model_copy(update={"gpu_layers": -1}), None, free=free) == 512


def test_a_small_model_computes_on_one_thread() -> None:
    assert threads_for(1024**2) == 1
    assert threads_for(1024**3) >= 1


async def test_an_engine_that_was_not_started_says_so(tmp_path: Path) -> None:
    engine = LlamaCppEngine(LlamaCppSettings(source=str(tmp_path)), "m")
    with pytest.raises(EngineDead):
        await engine.check_health()
    await engine.stop()
