"""Llama's layers as we call them give what vLLM's own modules give, token for token."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import environment

ROOT = Path(__file__).parents[3]
WAYS = """
import json, sys
import torch
torch.set_num_threads(1)
from cluster.engines import vllm_llama
from vllm import LLM, SamplingParams

vllm_llama.install()
vllm_llama.install()
engine = LLM(
    model=sys.argv[1], dtype=sys.argv[2], enforce_eager=True, max_num_seqs=8, kv_cache_memory_bytes=1 << 28,
    distributed_executor_backend="uni", enable_chunked_prefill=False, enable_prefix_caching=False,
    max_num_batched_tokens=4096,
    disable_log_stats=True,
)
model = engine.llm_engine.engine_core.engine_core.model_executor.driver_worker.worker.model_runner.model
kind, steps, run = type(model.model), [], vllm_llama.run
vllm_llama.run = lambda *told: steps.append(1) or run(*told)
prompts = ["One day " * count + "a cat" for count in (1, 3, 40, 7, 200)]
told = SamplingParams(temperature=0, max_tokens=48, ignore_eos=True, logprobs=0, prompt_logprobs=0)


def asked():
    found = []
    for answer in engine.generate(prompts, told, use_tqdm=False):
        said = answer.outputs[0]
        logs = [entry[token].logprob for token, entry in zip(said.token_ids, said.logprobs)]
        ids = answer.prompt_token_ids
        logs += [entry[token].logprob for token, entry in zip(ids, answer.prompt_logprobs) if entry]
        found.append({"tokens": list(said.token_ids), "logs": logs})
    return found


quick, steps_of_quick = asked(), len(steps)
kind._quick = lambda self, context: None
plain = asked()
print("RESULT" + json.dumps({"quick": quick, "plain": plain, "steps": [steps_of_quick, len(steps)]}))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same prompts both ways, in one engine without its cache of prefixes between them."""
    env = environment(tmp_path_factory.mktemp("home"))
    env |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, "-c", WAYS, str(ROOT / "models/spark-chat"), "float32"],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.split("RESULT")[1].splitlines()[0])
    return found


def test_every_step_takes_the_quick_way_and_none_where_it_may_not(answers: dict[str, Any]) -> None:
    quick, all_steps = answers["steps"]
    assert quick == all_steps >= 48


def test_both_ways_say_the_same(answers: dict[str, Any]) -> None:
    for quick, plain in zip(answers["quick"], answers["plain"], strict=True):
        assert quick["tokens"] == plain["tokens"]
        assert quick["logs"] == pytest.approx(plain["logs"], abs=2e-4)
