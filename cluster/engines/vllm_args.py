"""Our settings as the arguments of `vllm serve`, so that vLLM's serving classes see what they expect."""

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from cluster.catalog import GIB
from cluster.engines import precision
from cluster.settings.engines import VllmSettings
from cluster.settings.models import HubSettings

if TYPE_CHECKING:
    from vllm.engine.arg_utils import AsyncEngineArgs

CPU_BATCH_TOKENS = 4096  # tokens of prompts in one step on a CPU, where the context is not longer than that


def server_arguments(
    settings: VllmSettings, model: str, source: str, context_length: int | None, hub: HubSettings, *, cpu: bool
) -> Namespace:
    """The parsed arguments. vLLM must have been imported."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    arguments: dict[str, Any] = {
        "model": source,
        "served-model-name": model,
        "dtype": precision.on_cpu(settings.dtype) if cpu else settings.dtype,
        "max-num-seqs": settings.max_num_seqs,
        "tensor-parallel-size": settings.tensor_parallel_size,
        "scheduling-policy": "priority",  # interactive calls go before background ones
        "revision": settings.revision,
        "tokenizer-revision": settings.revision,
        "max-model-len": context_length,
        "download-dir": hub.model_path,
        "tool-call-parser": settings.tool_call_parser,
        # One for all requests. `auto` checks a schema with one compiler and may compile it with another, and
        # vLLM's first choice, xgrammar, takes minutes for a large enum or pattern; this one has limits of its own
        # and refuses what it does not honour, a remote $ref included.
        "structured-outputs-config.backend": "guidance",
    }
    if cpu:
        arguments["kv-cache-memory-bytes"] = settings.kv_cache_gib * GIB
        if settings.tensor_parallel_size == 1:
            arguments["distributed-executor-backend"] = "uni"
    else:
        arguments["gpu-memory-utilization"] = settings.gpu_memory_utilization
    generation = settings.generation.model_dump(exclude_none=True)
    if generation:
        arguments["override-generation-config"] = json.dumps(generation)
    eager = cpu if settings.enforce_eager is None else settings.enforce_eager
    switches = {
        "enforce-eager": eager,
        "trust-remote-code": settings.trust_remote_code,
        "enable-auto-tool-choice": settings.tool_call_parser is not None,
        "disable-log-stats": True,  # the replica keeps its own figures
        "no-use-tqdm-on-load": True,  # a replica's log is no terminal
        "no-enable-chunked-prefill": cpu,  # see `fit_batch`
    }
    words = [f"--{name}={value}" for name, value in arguments.items() if value is not None]
    words += [f"--{name}" for name, on in switches.items() if on]
    parsed: Namespace = make_arg_parser(FlexibleArgumentParser()).parse_args(words)
    return parsed


def fit_batch(engine: "AsyncEngineArgs") -> None:
    """Let the longest prompt fit in one step of a CPU engine.

    A prompt with a seed that is prefilled in pieces kills vLLM 0.29's CPU engine (`CPU Generator does not use
    offset`), and with it every other request. So chunked prefill is off, and a step holds a whole context.
    """
    context = engine.create_model_config().max_model_len
    engine.max_num_batched_tokens = max(context, CPU_BATCH_TOKENS)
