"""Ray Serve LLM's own OpenAI application on a Ray of its own: a peer of `benchmarks/gateway.py`.

python benchmarks/ray_serve_llm.py MODEL_FOLDER MODEL_ID PORT DTYPE TEMPORARY_FOLDER
"""

import os
import signal
import sys
import threading


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    folder, model, port, dtype, temporary = sys.argv[1:]
    # As our own engine: threads that sleep, a cache of one GiB, strict calls off (they need a GPU's grammar).
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
    import ray
    from ray import serve
    from ray.serve.llm import LLMConfig, build_openai_app

    ray.init(address="local", include_dashboard=False, _temp_dir=temporary, num_cpus=8, logging_level="warning")
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    config = LLMConfig(
        model_loading_config={"model_id": model, "model_source": folder},
        deployment_config={"num_replicas": 1, "max_ongoing_requests": 256, "ray_actor_options": {"num_cpus": 1}},
        engine_kwargs={
            "dtype": dtype,
            "enforce_eager": True,
            "max_num_seqs": 64,
            "distributed_executor_backend": "uni",
        },
        placement_group_config={"bundles": [{"CPU": 1}]},
    )
    serve.run(build_openai_app({"llm_configs": [config]}), name="peer", blocking=False)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
