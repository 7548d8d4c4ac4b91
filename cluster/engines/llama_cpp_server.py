"""What runs in llama.cpp's process: its own server, on a socket.

It imports next to nothing, so that it starts at once. It ends when its standard input does, which is when its
replica ends, however that comes.
"""

import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import Any

ERRORS_ONLY = 1  # llama.cpp's verbosity
SPARE_THREADS = 8  # of its server, beside one for each sequence: for tokenising meanwhile
BATCH, GPU_BATCH = 64, 512  # tokens of prompts in one step; only between steps is it seen that a call was left


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be loaded. path: of the GGUF file. context: tokens of each sequence. gpu_layers: -1 is all."""

    path: str
    context: int
    sequences: int
    threads: int
    gpu_layers: int


def main() -> None:
    """In the process: load what standard input names, say so, and stay until standard input ends."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever C++ prints belongs to the log
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own would wait for C++ to come back
    given = json.loads(sys.stdin.readline())
    try:
        server = _serve(given["socket"], Load(**given["load"]))
    except Exception as error:  # noqa: BLE001 - whatever it is, the replica is told, and the process ends
        told.write(json.dumps({"problem": " ".join(str(error).split())[:300]}) + "\n")
        os._exit(1)
    told.write(json.dumps({"ready": True}) + "\n")
    told.close()
    sys.stdin.read()
    _ = server
    os._exit(0)  # llama.cpp's own end waits for whoever still listens


def _serve(socket: str, load: Load) -> Any:
    """llama.cpp's server on the socket."""
    import xllamacpp

    if load.gpu_layers and not any("GPU" in str(device.get("type")) for device in xllamacpp.get_device_info()):
        raise ValueError("gpu_layers asks for a GPU, and this build of xllamacpp sees none")
    params = xllamacpp.CommonParams()
    params.model.path = load.path
    params.hostnames = [socket]  # it ends with .sock, which llama.cpp takes for what it is
    params.n_ctx = load.context * load.sequences  # each sequence has its own part
    params.n_parallel = load.sequences
    params.n_batch = params.n_ubatch = GPU_BATCH if load.gpu_layers else BATCH
    params.n_gpu_layers = load.gpu_layers if load.gpu_layers >= 0 else -2  # to llama.cpp -1 is a guess
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = load.threads
    params.n_threads_http = load.sequences + SPARE_THREADS
    params.fit_params = False  # the context is what the settings say, or the start fails
    params.cache_ram_mib = 0  # no second cache of prompts; each sequence keeps its last one
    params.prefill_assistant = False  # an assistant's message at the end is a turn like others
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.use_jinja, params.ui, params.offline = True, False, True
    params.endpoint_slots = True
    params.verbosity = ERRORS_ONLY
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
