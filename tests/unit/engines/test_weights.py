from pathlib import Path

import pytest

from cluster.engines.weights import WHOLE_BYTES, folder_revision, revision_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    return tmp_path


def test_the_same_files_have_the_same_revision(model: Path) -> None:
    assert folder_revision(model) == folder_revision(model)
    assert len(folder_revision(model)) == 12


def test_retrained_weights_of_the_same_shape_change_it(model: Path) -> None:
    before = folder_revision(model)
    (model / "model.safetensors").write_bytes(bytes(999) + b"\1")
    assert folder_revision(model) != before


def test_the_configuration_changes_it(model: Path) -> None:
    before = folder_revision(model)
    (model / "config.json").write_text('{"a": 1}')
    assert folder_revision(model) != before


def test_a_large_file_is_sampled_at_both_ends(model: Path) -> None:
    size = WHOLE_BYTES * 2
    revisions = set()
    for place in (0, size - 1):
        content = bytearray(size)
        content[place] = 1
        (model / "model.safetensors").write_bytes(content)
        revisions.add(folder_revision(model))
    assert len(revisions) == 2


def test_a_hub_model_is_its_commit() -> None:
    assert revision_of("owner/name", "0123456789abcdef") == "0123456789ab"
    assert len(revision_of("owner/name", None)) == 12
