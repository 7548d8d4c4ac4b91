"""The process that llama.cpp runs in: what it takes at once, what it leaves, and how it ends."""

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.protocol import ChatEngine
from cluster.engines.source import project_root
from cluster.errors import EngineDead, HeliostatError, StartFailed
from tests.live.engines.llama_cpp.engines import new
from tests.unit.engines.asking import begun, call, idle

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio(loop_scope="module"),
    # The warnings are those of Transformers' own modules as they are imported.
    pytest.mark.filterwarnings("ignore"),
]


async def test_several_sequences_generate_at_once(engine: ChatEngine) -> None:
    """Four streams have all begun before any of them has ended."""
    streams = [engine.stream(call(stream=True, max_tokens=60, ignore_eos=True, seed=seed)) for seed in range(4)]
    for stream in streams:
        for _ in range(2):
            await anext(stream)
    assert engine.running == 4  # type: ignore[attr-defined]
    for stream in streams:
        await stream.aclose()
    await idle(engine, 2)


async def test_a_cancelled_call_leaves_its_sequence(file: Path) -> None:
    """llama.cpp itself says when: in the middle of an answer at once, in a prompt at the end of its step."""
    engine = new(file, max_num_seqs=1)
    try:
        await engine.start()
        for text, limit_s in (("Hello", 0.5), ("word " * 900, 3.0)):
            took = []
            for number in range(5):
                task = asyncio.create_task(engine.chat(call(f"{number} {text}", max_tokens=900, ignore_eos=True)))
                await begun(engine)
                await asyncio.sleep(0.3)
                assert await generating(engine)
                task.cancel()
                start = time.perf_counter()
                while await generating(engine):
                    pass
                took.append(time.perf_counter() - start)
                await asyncio.gather(task, return_exceptions=True)
            print(f"{text[:8]!r}: {sorted(round(each * 1000) for each in took)} ms")  # noqa: T201  # shown by -s
            assert min(took) < limit_s, took
    finally:
        await engine.stop()


async def generating(engine: Any) -> bool:
    return any(slot["is_processing"] for slot in await engine._client.process.get("/slots"))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"<html>404</html>", b"PK\x03\x04" + bytes(100)])
async def test_what_is_no_model_does_not_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    engine = new(tmp_path / "x.gguf")
    with pytest.raises(StartFailed, match="no GGUF file"):
        await engine.start()
    with pytest.raises(EngineDead):
        await engine.chat(call())


async def test_a_damaged_model_fails_to_start_or_starts(whole: bytes, tmp_path: Path) -> None:
    """Flipped bytes of the header: whatever llama.cpp makes of them, this process lives and says why."""
    draw = random.Random(3)
    outcomes = []
    for _ in range(12):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            damaged[draw.randrange(24, 1600)] = draw.randrange(256)
        (tmp_path / "x.gguf").write_bytes(damaged)
        engine = new(tmp_path / "x.gguf", max_num_seqs=1)
        try:
            await engine.start()
            outcomes.append("started")
        except StartFailed as error:
            outcomes.append(error.message)
        finally:
            await engine.stop()
    assert any(outcome != "started" for outcome in outcomes)


async def test_weights_that_llama_cpp_does_not_know_are_told(whole: bytes, tmp_path: Path) -> None:
    """A header that is in order, of an architecture that no llama.cpp has."""
    (tmp_path / "x.gguf").write_bytes(whole.replace(b"llama", b"lemma"))
    with pytest.raises(StartFailed, match=r"llama\.cpp cannot load spark") as caught:
        await new(tmp_path / "x.gguf").start()
    assert "lemma" in caught.value.message


async def test_a_gpu_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(StartFailed, match="sees none"):
        await new(file, gpu_layers=-1).start()


async def test_a_process_that_dies_is_a_dead_engine(file: Path) -> None:
    import psutil

    engine = new(file, max_num_seqs=1)
    try:
        await engine.start()
        stream = engine.stream(call(stream=True, max_tokens=900, ignore_eos=True))
        await anext(stream)
        psutil.Process(engine._client.process.pid).kill()
        with pytest.raises(EngineDead, match="SIGKILL"):
            async for _ in stream:
                pass
        with pytest.raises(EngineDead):
            await engine.check_health()
        with pytest.raises(HeliostatError):
            await engine.chat(call())
    finally:
        await engine.stop()


def test_a_killed_replica_leaves_no_process(file: Path) -> None:
    import psutil

    program = f"""
import asyncio, time
from pathlib import Path
from tests.live.engines.llama_cpp.engines import new
engine = new(Path({str(file)!r}), max_num_seqs=1)
asyncio.run(engine.start())
print(engine._client.process.pid, flush=True)
time.sleep(60)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=project_root()) as replica:
        assert replica.stdout is not None
        child = psutil.Process(int(replica.stdout.readline()))
        replica.kill()
        child.wait(5)


async def test_nothing_is_left_of_a_stopped_engine(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import psutil

    engine = new(file, max_num_seqs=1)
    await engine.start()
    pid, folder = engine._client.process.pid, engine._client.process._folder
    assert folder.stat().st_mode & 0o777 == 0o700
    await engine.chat(call(max_tokens=4))
    await engine.stop()
    await engine.stop()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()
    assert capfd.readouterr().out == ""
