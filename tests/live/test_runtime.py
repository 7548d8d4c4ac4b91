"""up, down, status and doctor on a real cluster."""

import json
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx

from cluster.runtime import processes
from cluster.runtime.ports import exposed, free_block
from cluster.runtime.state import ClusterState, read_state, state_file, write_state
from tests.live.conftest import ROOT, RunningCluster, environment, heliostat
from tests.live.starting import marked_ids, scripted, start

IMPORTS = 8  # of vLLM, one after another; where one took 13 s, a start took 66


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_status_in_json_names_models_deployments_and_processes(cluster: RunningCluster) -> None:
    done = cluster.run("status", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, found["problem"]
    assert found["status"] == "running"
    assert found["url"] == cluster.url
    assert "spark-chat" in found["models"]
    assert {"Gateway", "Embedder", "VectorStore", "Retriever"} <= {part["name"] for part in found["deployments"]}
    assert all(part["ready"] == part["wanted"] for part in found["deployments"])
    assert found["processes"] > 10
    assert found["memory_bytes"] > 2**30


def test_the_first_request_is_answered_within_a_minute_of_starting(cluster: RunningCluster) -> None:
    """On slower cores than that was promised for: in the time of a few imports of vLLM, most of what a start is."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import vllm.v1.engine.async_llm"], check=True, capture_output=True)
    assert cluster.started_in_s < max(60, IMPORTS * (time.monotonic() - began))
    assert httpx.get(f"{cluster.url}/v1/models", trust_env=False).status_code == 200


def test_every_listening_socket_is_on_loopback(cluster: RunningCluster) -> None:
    found = processes.listeners(cluster.state.id)
    assert {"haproxy", "gcs_server", "raylet"} <= {item.name for item in found}
    assert exposed(found) == ()


def test_a_second_up_on_the_home_is_refused_and_names_the_url(cluster: RunningCluster) -> None:
    done = cluster.run("up", str(cluster.config))
    assert done.returncode == 1
    assert "[already_running]" in one_line(done)
    assert cluster.url in one_line(done)


def test_a_taken_port_is_refused_before_anything_starts(cluster: RunningCluster, new_home: Path) -> None:
    done = heliostat(new_home, "up", str(cluster.config), "--port", cluster.url.rpartition(":")[2])
    assert done.returncode == 1
    assert "[port_taken]" in one_line(done)
    assert "haproxy" in one_line(done)
    assert not state_file(new_home).exists()


def test_rays_own_tools_show_readable_names(cluster: RunningCluster) -> None:
    tools = Path(sys.executable).parent
    variables = cluster.environment()
    serve = subprocess.run([tools / "serve", "status"], env=variables, capture_output=True, text=True, timeout=60)
    assert serve.returncode == 0, serve.stderr
    assert "heliostat" in serve.stdout
    assert "Gateway" in serve.stdout
    ray = subprocess.run([tools / "ray", "status"], env=variables, capture_output=True, text=True, timeout=60)
    assert ray.returncode == 0, ray.stderr
    assert "CPU" in ray.stdout


def test_rays_dashboard_wants_the_token(cluster: RunningCluster) -> None:
    answer = httpx.get(f"{cluster.state.dashboard}/api/serve/applications/", trust_env=False)
    assert answer.status_code == 401
    token = Path(cluster.state.token_path or "")
    assert token.stat().st_mode & 0o077 == 0


def test_the_doctor_finds_the_running_cluster_closed(cluster: RunningCluster) -> None:
    done = cluster.run("doctor", "--json")
    findings = {item["name"]: item for item in json.loads(done.stdout)}
    assert findings["listeners"]["level"] == "ok", findings["listeners"]
    assert "all on loopback" in findings["listeners"]["what"]


def test_a_job_runs_on_the_cluster_and_its_end_is_seen(cluster: RunningCluster) -> None:
    script = (
        "import sys, time; from cluster.runtime.jobs import submit, job_status, job_logs, stop_job\n"
        "code = 'import os; from cluster.runtime.lifecycle import connect; connect(); import ray; '\n"
        'code += \'print("home", os.environ["HELIOSTAT_HOME"], ray.cluster_resources()["CPU"] > 0)\'\n'
        "entrypoint = [sys.executable, '-c', code]\n"
        "name = submit(entrypoint, submission_id='runtime-test', metadata={'kind': 'test'})\n"
        "while not job_status(name).finished: time.sleep(0.2)\n"
        "print(job_status(name).status, job_status(name).metadata['kind'], job_logs(name))\n"
        "print('stopped', stop_job(name))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(cluster.home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "SUCCEEDED test" in done.stdout
    assert f"home {cluster.home} True" in done.stdout
    assert "stopped False" in done.stdout


def test_a_driver_connects_without_being_told_the_address(cluster: RunningCluster) -> None:
    script = (
        "from cluster.runtime.lifecycle import connect; connect(); connect()\n"
        "from ray import serve; print(sorted(serve.status().applications))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(cluster.home),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "['heliostat']" in done.stdout


def test_a_home_without_a_cluster_says_how_to_start_one(new_home: Path) -> None:
    status = heliostat(new_home, "status")
    assert status.returncode == 3
    assert "heliostat up" in one_line(status)
    down = heliostat(new_home, "down")
    assert down.returncode == 1
    assert "[not_running]" in one_line(down)


def test_a_dead_cluster_left_behind_is_named_and_cleaned_up(cluster: RunningCluster, new_home: Path) -> None:
    leave_state(cluster.state, new_home)
    status = heliostat(new_home, "status")
    assert status.returncode == 3
    assert "[stale_cluster]" in one_line(status)
    down = heliostat(new_home, "down")
    assert down.returncode == 0
    assert "already dead" in down.stderr
    assert not state_file(new_home).exists()


def test_up_cleans_up_after_a_dead_cluster_and_goes_on(cluster: RunningCluster, new_home: Path) -> None:
    leave_state(cluster.state, new_home)
    done = heliostat(new_home, "up", str(cluster.config), "--port", cluster.url.rpartition(":")[2])
    assert "cleaned up after a cluster that died" in done.stderr
    assert "[port_taken]" in one_line(done)


def leave_state(state: ClusterState, home: Path) -> None:
    dead = replace(state, id="00000000-dead", home=str(home), scratch=None, logs=None, token_path=None)
    write_state(dead)


def test_a_deployment_that_fails_gives_its_root_cause_and_leaves_nothing(new_home: Path) -> None:
    config = scripted(new_home, engine="{kind: vllm, source: /nowhere/at/all}")
    before = marked_ids()
    done = heliostat(new_home, "up", str(config), "--detach")
    assert done.returncode == 1
    line = one_line(done)
    assert "[start_failed]" in line
    assert "/nowhere/at/all" in line
    log = Path(line.partition("log: ")[2].removesuffix(" [start_failed]"))
    assert log.exists(), "the log that it names is kept"
    assert marked_ids() == before
    assert not state_file(new_home).exists()


def test_foreground_up_stops_all_on_sigterm_and_beside_another_cluster(
    cluster: RunningCluster, new_home: Path
) -> None:
    process = start(new_home, scripted(new_home), "--plain-proxy")
    url = wait_for_url(process, new_home)
    state = read_state(new_home)
    listeners = processes.listeners(state.id)
    assert exposed(listeners) == ()
    assert "haproxy" not in {item.name for item in listeners}, "--plain-proxy was asked for"
    assert httpx.get(f"{url}/v1/models", trust_env=False).status_code == 200
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert processes.marked(state.id) == []
    assert processes.is_alive(cluster.state.id), "the other cluster lives on"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


def test_joining_a_running_ray_and_leaving_it_as_it_was(new_home: Path) -> None:
    base = free_block()
    marker = f"join-test-{base}"
    variables = environment(new_home, {processes.MARKER: marker, "RAY_USAGE_STATS_ENABLED": "0"})
    variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # a Ray on loopback
    flags = [f"--port={base}", f"--dashboard-port={base + 1}", f"--ray-client-server-port={base + 2}"]
    flags += ["--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={new_home}"]  # else 10002 to 19999
    ray = [Path(sys.executable).parent / "ray", "start", "--head", *flags]
    try:
        started = subprocess.run(ray, env=variables, capture_output=True, text=True, timeout=120)
        assert started.returncode == 0, started.stdout + started.stderr
        extra = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        config = scripted(new_home)
        done = heliostat(new_home, "up", str(config), "--address", f"127.0.0.1:{base}", "--detach", extra=extra)
        assert done.returncode == 0, done.stderr
        assert httpx.get(f"{read_state(new_home).url}/v1/models", trust_env=False).status_code == 200
        down = heliostat(new_home, "down", extra=extra)
        assert down.returncode == 0, down.stderr
        assert "it runs on" in down.stderr
        assert processes.is_alive(marker), "Ray was not ours to stop"
    finally:
        processes.stop(marker, grace_s=2)


def wait_for_url(process: subprocess.Popen[str], home: Path, timeout_s: float = 120) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        if state_file(home).exists() and read_state(home).phase == "running":
            return read_state(home).url
        time.sleep(0.2)
    raise AssertionError(f"not up: {process.communicate(timeout=5)}")
