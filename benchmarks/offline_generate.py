"""`vllm.LLM.generate` with all cells in one batch, for `sweep_peers.py`: a round for each line of its input.

    python benchmarks/offline_generate.py CELLS.json DTYPE

CELLS.json is a list of `{prompt, temperature, top_p, max_tokens, seed}`. It prints a line of JSON a round:
`{"seconds", "tokens"}`, and `ready` before the first. Prompts are put into the template and made tokens beforehand.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "spark-chat"


def main() -> None:
    """Load, then a round a line."""
    from vllm import LLM, SamplingParams

    cells: list[dict[str, Any]] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    # The settings of `heliostat up`, as `cluster/engines/vllm_args.py` makes them. Chunked prefill is off, since
    # with it a seed kills vLLM's CPU engine, so a step holds a whole context.
    engine = LLM(
        model=str(MODEL),
        dtype=sys.argv[2],
        max_num_seqs=64,
        max_num_batched_tokens=4096,
        enable_chunked_prefill=False,
        enforce_eager=True,
        kv_cache_memory_bytes=2**30,
        distributed_executor_backend="uni",
    )
    tokenizer = engine.get_tokenizer()
    asked = [
        {
            "prompt_token_ids": tokenizer.apply_chat_template(
                [{"role": "user", "content": cell["prompt"]}], add_generation_prompt=True, return_dict=False
            )
        }
        for cell in cells
    ]
    sampling = [
        SamplingParams(
            temperature=cell["temperature"],
            top_p=cell["top_p"],
            max_tokens=cell["max_tokens"],
            seed=cell["seed"],
            ignore_eos=True,
        )
        for cell in cells
    ]
    engine.generate(asked[:128], sampling[:128], use_tqdm=False)
    print("ready", flush=True)
    for _ in sys.stdin:
        begun = time.perf_counter()
        answers = engine.generate(asked, sampling, use_tqdm=False)
        seconds = time.perf_counter() - begun
        tokens = sum(len(answer.outputs[0].token_ids) for answer in answers)
        print(json.dumps({"seconds": seconds, "tokens": tokens}), flush=True)


if __name__ == "__main__":
    main()
