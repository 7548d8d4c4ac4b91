"""Who goes first begins in a step without the others, which go on in the next as if nothing had been."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import environment

ROOT = Path(__file__).parents[3]
STEPS = """
import json, sys
import torch
torch.set_num_threads(1)
from cluster.engines import vllm_priority
from vllm import EngineArgs, SamplingParams
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine.llm_engine import LLMEngine

vllm_priority.install()
vllm_priority.install()
engine = LLMEngine.from_engine_args(EngineArgs(
    model=sys.argv[1], dtype="float32", enforce_eager=True, max_num_seqs=6, kv_cache_memory_bytes=1 << 28,
    distributed_executor_backend="uni", enable_chunked_prefill=False, enable_prefix_caching=False,
    max_num_batched_tokens=4096, disable_log_stats=True, scheduling_policy="priority",
))
told = SamplingParams(temperature=0, max_tokens=24, ignore_eos=True)
ours = Scheduler.schedule


def run(schedule):
    # What each step computed, and what each request was answered.
    steps, texts = [], {}

    def noted(self, *given, **named):
        scheduled = schedule(self, *given, **named)
        steps.append(sorted(name.split("-")[0] for name in scheduled.num_scheduled_tokens))
        return scheduled

    Scheduler.schedule = noted
    for number in range(4):
        engine.add_request(f"sweep{number}", "One day " * (number + 1) + "a cat", told, priority=1)
    for step in range(200):
        if step == 8:
            engine.add_request("person0", "Once there was", told, priority=0)
        if step in (12, 13):  # in steps that follow one another, and beside a cell that begins, too
            engine.add_request(f"person{step}", "Once there was", told, priority=0)
            engine.add_request(f"late{step}", "The sun", told, priority=1)
        for output in engine.step():
            texts[output.request_id.split("-")[0]] = list(output.outputs[0].token_ids)
        if not engine.has_unfinished_requests():
            break
    return {"steps": steps, "texts": texts}


print("RESULT" + json.dumps({"ours": run(ours), "plain": run(ours.__wrapped__)}))
"""


@pytest.mark.live
def test_who_goes_first_begins_alone_and_nobody_stops(tmp_path: Path) -> None:
    env = environment(tmp_path)
    env |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(ROOT / "models/spark-chat")],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.split("RESULT")[1])
    ours, plain = found["ours"], found["plain"]
    cells = [f"sweep{number}" for number in range(4)]
    steps = ours["steps"]
    assert steps[7] == cells
    assert steps[8] == ["person0"]
    assert steps[9] == ["person0", *cells]
    assert steps[12] == ["person0", "person12"]  # the cell that came with it waits
    assert set(cells) < set(steps[13])  # never two steps one after the other
    assert ["person0", *cells] == plain["steps"][8]
    assert ours["texts"] == plain["texts"]
    assert all(len(tokens) == 24 for tokens in ours["texts"].values())
