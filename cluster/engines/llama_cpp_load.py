"""What llama.cpp is to load, decided from the settings and the file's header before anything is started."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from cluster.catalog import GIB
from cluster.engines.gguf_header import BadGguf, GgufHeader, check, read_header, shards
from cluster.engines.llama_cpp_server import Load
from cluster.engines.llama_cpp_source import fetch
from cluster.engines.vllm_process import ONE_THREAD_BYTES
from cluster.engines.weights import file_revision
from cluster.errors import StartFailed
from cluster.settings.engines import LlamaCppSettings
from cluster.settings.models import HubSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will run. revision: 12 hex digits from the model's files."""

    header: GgufHeader
    revision: str
    load: Load


def planned(model: str, settings: LlamaCppSettings, hub: HubSettings, context_length: int | None) -> Plan:
    """Find the file, fetch it where needed, check it, see that it fits; blocks. Raises StartFailed with why."""
    if find_spec("xllamacpp") is None:
        hint = 'pip install "heliostat-serve[llama-cpp]"'
        raise StartFailed(f"{model} is a GGUF file, and xllamacpp, which runs those, is not installed", hint=hint)
    path = fetch(model, settings, hub)
    header = read_checked(model, path)
    load = Load(
        path=str(path),
        context=context_of(model, header, settings, context_length, free=psutil.virtual_memory().available),
        sequences=settings.max_num_seqs,
        threads=settings.threads or threads_for(header.size),
        gpu_layers=settings.gpu_layers,
    )
    return Plan(header=header, revision=file_revision(*shards(path)), load=load)


def read_checked(model: str, path: Path) -> GgufHeader:
    """The header, checked like those of the files that the model is cut into. Raises StartFailed."""
    try:
        header = read_header(path)
        for file in shards(path)[1:]:
            check(file)
    except BadGguf as error:
        raise StartFailed(f"{model} cannot be loaded from {path}: {error}", hint="download it again") from error
    except OSError as error:
        raise StartFailed(f"{model} cannot be read from {error.filename or path}: {error.strerror}") from error
    return header


def context_of(model: str, header: GgufHeader, settings: LlamaCppSettings, wanted: int | None, *, free: int) -> int:
    """Tokens of each sequence. free: bytes of memory.

    Raises StartFailed where nobody says how many, and where their cache does not fit: the system would end the
    process while it fills it.
    """
    limits = [limit for limit in (wanted, header.context_length) if limit]
    if not limits:
        raise StartFailed(f"{model} does not say how many tokens it reads", hint="set context_length")
    context, sequences = min(limits), settings.max_num_seqs
    needed = (header.cache or 0) * context * sequences
    if needed > free and not settings.gpu_layers:
        fit = free // ((header.cache or 1) * sequences)
        raise StartFailed(
            f"The KV cache of {model} takes {needed / GIB:.1f} GiB ({sequences} sequences of {context} tokens), "
            f"and {free / GIB:.1f} GiB are free",
            hint=f"context_length up to {fit}, or a smaller engine.max_num_seqs",
        )
    return context


def threads_for(size: int) -> int:
    """Threads to compute on, by the bytes of the model: vllm_process says why a small one gets one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 1 if size < ONE_THREAD_BYTES else cores
