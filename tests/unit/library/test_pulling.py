"""Pulls from a Hub that this process serves: the real client, and no network."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import (
    BrokenModel,
    DiskFull,
    GatedModel,
    HashMismatch,
    HeliostatError,
    InvalidModelName,
    ModelNotFound,
    NoWeights,
    PermissionDenied,
    PickledWeights,
    RegistryAway,
    RevisionNotFound,
)
from cluster.library.arriving import Arriving
from cluster.library.cached import held
from cluster.library.hub import HubRegistry
from cluster.library.manifest import Manifest, Order, PullProgress, RemoteFile
from cluster.library.pulling import Machine, Patience, pull
from cluster.library.shelf import Shelf
from tests.unit.library.conftest import NO_WAIT, ROOM
from tests.unit.library.hub_server import FakeHub, point_at

MODEL = {"config.json", "tokenizer.json", "generation_config.json", "model.safetensors", "README.md"}
LARGE = Order(name="owner/large")


def reports(
    order: Order, shelf: Shelf, *, patience: Patience = NO_WAIT, machine: Machine = ROOM
) -> list[PullProgress]:
    return list(pull(order, HubRegistry(), shelf, patience=patience, machine=machine))


def pulled(order: Order, shelf: Shelf) -> Path:
    last = reports(order, shelf)[-1]
    assert last.status == "done"
    assert last.folder is not None
    return Path(last.folder)


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_the_files_that_an_engine_reads_come_and_no_others(hub: FakeHub, shelf: Shelf) -> None:
    folder = pulled(Order(name="owner/model"), shelf)
    assert names(folder) == MODEL
    assert (folder / "model.safetensors").read_bytes() == hub.repositories["owner/model"]["model.safetensors"]


def test_code_comes_where_it_may_run(hub: FakeHub, shelf: Shelf) -> None:
    assert names(pulled(Order(name="owner/model", remote_code=True), shelf)) == MODEL | {"modeling_custom.py"}


def test_code_that_is_allowed_later_comes_later(hub: FakeHub, shelf: Shelf) -> None:
    pulled(Order(name="owner/model"), shelf)
    assert held(shelf, Order(name="owner/model", remote_code=True)) is None
    hub.asked.clear()
    assert "modeling_custom.py" in names(pulled(Order(name="owner/model", remote_code=True), shelf))
    assert [file for file, _ in hub.asked] == ["modeling_custom.py"]
    assert held(shelf, Order(name="owner/model")) is not None


def test_a_revision_becomes_a_commit_and_is_recorded(hub: FakeHub, shelf: Shelf) -> None:
    commit = hub.commit("owner/model")
    last = reports(Order(name="owner/model"), shelf)[-1]
    assert last.commit == commit
    [record] = shelf.records()
    assert (record.manifest.commit, record.manifest.revision, record.manifest.registry) == (commit, "main", "hub")
    assert shelf.commit_of("owner/model", None) == commit


def test_the_reports_count_every_byte_once_and_never_back(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.slow_s = 0.005
    said = reports(LARGE, shelf)
    total = sum(len(data) for data in hub.repositories["owner/large"].values())
    assert {one.total for one in said[1:]} == {total}
    done = [one.done for one in said]
    assert done == sorted(done)
    assert done[-1] == total
    assert len({one.done for one in said if one.file == "model.safetensors"}) > 2
    assert {one.digest for one in said if one.file == "model.safetensors"} == {
        hashlib.sha256(hub.repositories["owner/large"]["model.safetensors"]).hexdigest()
    }


def test_a_model_that_is_here_is_not_fetched_again(hub: FakeHub, shelf: Shelf) -> None:
    folder = pulled(LARGE, shelf)
    hub.asked.clear()
    assert pulled(LARGE, shelf) == folder
    assert hub.asked == []


def test_a_connection_that_ends_in_mid_file_is_taken_up_where_it_ended(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.die_at, hub.faults.dies = 300_000, 1
    pulled(LARGE, shelf)
    ranges = [span for file, span in hub.asked if file == "model.safetensors"]
    assert ranges == [None, "bytes=300000-"]


def test_a_server_that_keeps_dying_is_an_error_and_what_arrived_is_used_by_the_next_pull(
    hub: FakeHub, shelf: Shelf
) -> None:
    hub.faults.die_at = 300_000
    with pytest.raises(RegistryAway, match=r"cannot be reached|ended after"):
        reports(LARGE, shelf, patience=replace(NO_WAIT, tries=1))
    assert held(shelf, LARGE) is None
    assert list(shelf.records()) == []
    assert not (shelf.repository("owner/large") / "snapshots").exists()
    hub.faults.die_at = None
    hub.asked.clear()
    pulled(LARGE, shelf)
    assert [span for file, span in hub.asked] == ["bytes=300000-"]


def test_a_server_that_knows_no_ranges_is_read_from_the_beginning(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.die_at, hub.faults.dies, hub.faults.ranges = 300_000, 1, False
    folder = pulled(LARGE, shelf)
    assert (folder / "model.safetensors").read_bytes() == hub.repositories["owner/large"]["model.safetensors"]


def test_a_wrong_hash_is_an_error_and_nothing_of_it_stays(hub: FakeHub, shelf: Shelf) -> None:
    right = hub.repositories["owner/large"]["model.safetensors"]
    hub.faults.wrong = right[:-1] + b"!"
    with pytest.raises(HashMismatch, match=r"model\.safetensors arrived with the hash"):
        reports(LARGE, shelf)
    assert held(shelf, LARGE) is None
    assert not list(shelf.root.rglob("*.incomplete"))


def test_a_damaged_first_part_is_thrown_away_and_the_file_read_again(hub: FakeHub, shelf: Shelf) -> None:
    [file] = [one for one in HubRegistry().manifest("owner/large", None).files if one.path == "model.safetensors"]
    partial = shelf.partial("owner/large", file)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 1000)
    folder = pulled(LARGE, shelf)
    assert (folder / "model.safetensors").read_bytes() == hub.repositories["owner/large"]["model.safetensors"]
    assert [span for name, span in hub.asked if name == file.path] == ["bytes=1000-", None]


def test_more_bytes_than_the_file_should_have_are_an_error(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.wrong = hub.repositories["owner/large"]["model.safetensors"] + b"more"
    with pytest.raises(HashMismatch, match="longer than"):
        reports(LARGE, shelf)


def test_a_busy_hub_is_asked_again_after_the_time_it_wants(hub: FakeHub, shelf: Shelf) -> None:
    slept: list[float] = []
    hub.faults.busy, hub.faults.retry_after = 2, "3"
    machine = Machine(keep_free=0, sleep=slept.append)
    said = reports(LARGE, shelf, machine=machine, patience=Patience(look_s=1.0))
    assert slept == [1.0] * 6
    waits = [one.note for one in said if one.status == "waiting"]
    assert waits[0] == "the Hugging Face Hub asks us to come back later; again in 3 s"


def test_a_hub_that_wants_more_time_than_we_have_is_an_error_that_says_how_much(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.busy, hub.faults.retry_after = 1, "3600"
    with pytest.raises(RegistryAway) as caught:
        reports(LARGE, shelf)
    assert caught.value.retry_after_s == 3600


def test_a_file_may_be_busy_too(hub: FakeHub, shelf: Shelf) -> None:
    stream = pull(LARGE, HubRegistry(), shelf, patience=NO_WAIT, machine=ROOM)
    assert next(stream).status == "resolving"
    next(stream)
    hub.faults.busy = 1
    assert list(stream)[-1].status == "done"


@pytest.mark.parametrize(
    ("order", "kind", "says"),
    [
        (Order(name="owner/nothing"), ModelNotFound, "does not exist or is private"),
        (Order(name="owner/gated"), GatedModel, "terms to be accepted"),
        (Order(name="owner/model", revision="v9"), RevisionNotFound, "no revision v9"),
        (Order(name="owner/pickled"), PickledWeights, "can run any code"),
        (Order(name="owner/tokenizer"), NoWeights, "no weights"),
        (Order(name="owner/gguf"), NoWeights, "no weights"),
        (Order(name="owner/gguf", only=("b.gguf",)), NoWeights, r"no file b\.gguf"),
        (Order(name="../model"), (InvalidModelName, ModelNotFound), "model"),
    ],
)
def test_what_cannot_be_pulled_is_an_error_of_its_own(
    hub: FakeHub, shelf: Shelf, order: Order, kind: type[HeliostatError], says: str
) -> None:
    with pytest.raises(kind, match=says) as caught:
        reports(order, shelf)
    assert "\n" not in caught.value.line()
    assert not list(shelf.root.rglob("*.incomplete"))


def test_a_model_of_which_only_the_files_are_gated_says_so(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.gated = True
    with pytest.raises(GatedModel, match="terms to be accepted") as caught:
        reports(LARGE, shelf)
    assert "hf auth login" in str(caught.value.hint)


@pytest.mark.parametrize(("status", "kind"), [(401, HeliostatError), (403, PermissionDenied), (500, RegistryAway)])
def test_other_answers_of_the_hub_are_errors_too(
    hub: FakeHub, shelf: Shelf, status: int, kind: type[HeliostatError]
) -> None:
    hub.faults.status = status
    with pytest.raises(kind):
        reports(LARGE, shelf)


def test_no_network_is_said_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at("http://127.0.0.1:1", monkeypatch)
    with pytest.raises(RegistryAway, match="cannot be reached"):
        reports(LARGE, shelf, patience=Patience(first_s=60))


def test_pickled_weights_come_where_they_may(hub: FakeHub, shelf: Shelf) -> None:
    folder = pulled(Order(name="owner/pickled", allow_pickle=True), shelf)
    assert names(folder) == {"config.json", "pytorch_model.bin"}


def test_one_gguf_file_of_several_comes_and_another_one_later(hub: FakeHub, shelf: Shelf) -> None:
    folder = pulled(Order(name="owner/gguf", only=("a-Q4_K_M.gguf",)), shelf)
    assert names(folder) == {"a-Q4_K_M.gguf"}
    pulled(Order(name="owner/gguf", only=("a-Q8_0.gguf",)), shelf)
    assert names(folder) == {"a-Q4_K_M.gguf", "a-Q8_0.gguf"}
    [record] = shelf.records()
    assert set(record.here) == {"a-Q4_K_M.gguf", "a-Q8_0.gguf"}


def test_too_little_room_is_said_before_anything_is_fetched(hub: FakeHub, shelf: Shelf) -> None:
    with pytest.raises(DiskFull, match=r"owner/large needs .* GiB") as caught:
        reports(LARGE, shelf, machine=Machine(keep_free=0, free=lambda folder: 1000))
    assert "nothing was begun" in str(caught.value.hint)
    assert hub.asked == []


def test_room_that_must_stay_free_counts(hub: FakeHub, shelf: Shelf) -> None:
    size = sum(len(data) for data in hub.repositories["owner/large"].values())
    free: Callable[[Path], int] = lambda folder: size + 10  # noqa: E731
    assert reports(LARGE, shelf, machine=Machine(keep_free=10, free=free))[-1].status == "done"
    with pytest.raises(DiskFull):
        reports(Order(name="owner/model"), shelf, machine=Machine(keep_free=size + 10, free=free))


def test_room_that_goes_away_meanwhile_ends_the_pull_and_keeps_what_arrived(
    hub: FakeHub, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cluster.library import pulling

    monkeypatch.setattr(pulling, "LOOK_BYTES", 100_000)
    answers = iter([10**9, 500])
    with pytest.raises(DiskFull, match="what has arrived is kept"):
        reports(LARGE, shelf, machine=Machine(keep_free=1000, free=lambda folder: next(answers)))
    assert sum(file.stat().st_size for file in shelf.root.rglob("*.incomplete")) >= 100_000
    assert reports(LARGE, shelf)[-1].status == "done"


def test_a_disk_that_is_full_says_so(tmp_path: Path) -> None:
    full = tmp_path / "model.incomplete"
    full.symlink_to("/dev/full")  # the kernel's own: every write is ENOSPC
    file = RemoteFile(path="model.safetensors", size=100, sha256="0" * 64)
    with Arriving(full, file) as arriving, pytest.raises(DiskFull, match="what has arrived is kept"):
        arriving.write(b"content")


def test_whoever_comes_second_follows_the_first(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.slow_s = 0.002
    first = pull(LARGE, HubRegistry(), shelf, patience=NO_WAIT, machine=ROOM)
    while next(first).file != "model.safetensors":
        pass
    said: list[PullProgress] = []
    second = threading.Thread(target=lambda: said.extend(reports(LARGE, shelf)))
    second.start()
    rest = list(first)
    second.join(timeout=10)
    assert rest[-1].status == said[-1].status == "done"
    assert rest[-1].folder == said[-1].folder
    waited = [one.done for one in said if one.status == "waiting"]
    assert waited
    assert waited == sorted(waited)
    assert [file for file, _ in hub.asked].count("model.safetensors") == 1


def test_whoever_follows_a_pull_that_is_given_up_takes_it_over(hub: FakeHub, shelf: Shelf) -> None:
    hub.faults.slow_s = 0.001
    first = pull(LARGE, HubRegistry(), shelf, patience=NO_WAIT, machine=ROOM)
    while next(first).file != "model.safetensors":
        pass
    second = pull(LARGE, HubRegistry(), shelf, patience=NO_WAIT, machine=ROOM)
    assert [next(second).status for _ in range(2)] == ["resolving", "waiting"]
    first.close()
    assert list(second)[-1].status == "done"


def test_a_pull_into_what_another_tool_began_completes_it(hub: FakeHub, shelf: Shelf) -> None:
    commit = hub.commit("owner/large")
    folder = shelf.snapshot("owner/large", commit)
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "notes.txt").write_text("of somebody's own")
    assert pulled(LARGE, shelf) == folder
    assert names(folder) == {*(MODEL - {"README.md"}), "notes.txt"}


class Evil:
    """A registry that names what is not its own."""

    kind = "hub"

    def __init__(self, **given: object) -> None:
        self._file = RemoteFile(**{"path": "config.json", "size": 1, "sha256": "0" * 64, **given})  # type: ignore[arg-type]
        self.commit = "0" * 40

    def manifest(self, name: str, revision: str | None) -> Manifest:
        return Manifest(name=name, revision="main", commit=self.commit, registry="hub", files=(self._file,))

    read = HubRegistry().read


@pytest.mark.parametrize(
    "given",
    [{"path": "../../outside"}, {"path": "/etc/passwd"}, {"path": "a\\b"}, {"sha256": "../x"}, {"sha256": None}],
)
def test_a_registry_cannot_write_outside_its_model(shelf: Shelf, given: dict[str, object]) -> None:
    with pytest.raises(BrokenModel):
        list(pull(Order(name="owner/evil"), Evil(**given), shelf, machine=ROOM))


def test_a_registrys_commit_is_a_commit(shelf: Shelf) -> None:
    evil = Evil()
    evil.commit = "../../../x"
    with pytest.raises(BrokenModel, match="the commit"):
        list(pull(Order(name="owner/evil"), evil, shelf, machine=ROOM))
