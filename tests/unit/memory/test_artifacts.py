"""What is read back is what was stored, or an error."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from evolve.errors import InvalidRequest, Unavailable
from evolve.memory.artifacts import ArtifactStore
from evolve.settings import Settings


def test_a_file_is_named_by_the_sha256_of_its_content(artifacts):
    sha256 = artifacts.put_bytes(b"weights")

    assert sha256 == hashlib.sha256(b"weights").hexdigest()
    assert Path(artifacts.where(sha256)).name == sha256
    assert artifacts.get_bytes(sha256) == b"weights"


def test_equal_content_is_one_file(artifacts, settings):
    artifacts.put_bytes(b"weights")
    artifacts.put_bytes(b"weights")

    assert len([path for path in (settings.home / "artifacts").rglob("*") if path.is_file()]) == 1


def test_json_comes_back(artifacts):
    assert artifacts.get_json(artifacts.put_json({"alpha": [1, 0.5]})) == {"alpha": [1, 0.5]}


@hypothesis_settings(max_examples=30, deadline=None)
@given(
    array=st.sampled_from(["<f8", "<f4", "<i8", "|b1", "<U3"]).flatmap(
        lambda kind: arrays_of.arrays(kind, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    )
)
def test_arrays_come_back_with_shape_type_and_bits(tmp_path_factory, array):
    artifacts = ArtifactStore(tmp_path_factory.getbasetemp() / "arrays")

    back = artifacts.get_arrays(artifacts.put_arrays({"x": array}))["x"]

    assert (back.shape, back.dtype, back.tobytes()) == (array.shape, array.dtype, array.tobytes())


def test_equal_arrays_have_equal_hashes_however_they_lie_in_memory(artifacts):
    rows = np.arange(6.0).reshape(2, 3)

    assert artifacts.put_arrays({"a": rows, "b": rows}) == artifacts.put_arrays(
        {"b": rows.copy(), "a": np.asfortranarray(rows)}
    )


def test_arrays_of_objects_are_refused_since_only_pickle_holds_them(artifacts):
    with pytest.raises(InvalidRequest, match="'x' holds Python objects"):
        artifacts.put_arrays({"x": np.array([{}], dtype=object)})


def test_a_pickle_smuggled_into_an_npz_is_not_loaded(artifacts, tmp_path):
    with open(tmp_path / "evil.npz", "wb") as file:
        np.savez(file, x=np.array([print], dtype=object))
    sha256 = artifacts.put_bytes((tmp_path / "evil.npz").read_bytes())

    with pytest.raises(Unavailable, match="is no set of arrays"):
        artifacts.get_arrays(sha256)


def test_a_changed_file_is_an_error_and_storing_again_mends_it(artifacts):
    sha256 = artifacts.put_bytes(b"weights")
    Path(artifacts.where(sha256)).write_bytes(b"weightz")

    with pytest.raises(Unavailable, match="is damaged"):
        artifacts.get_bytes(sha256)

    artifacts.put_bytes(b"weights")
    assert artifacts.get_bytes(sha256) == b"weights"


def test_a_missing_file_is_an_error(artifacts):
    with pytest.raises(Unavailable, match="is missing"):
        artifacts.get_bytes("0" * 64)


@pytest.mark.parametrize("name", ["", "abc", "../" * 20 + "etc/passwd" + "x", "G" * 64, "../" + "a" * 61])
def test_only_a_hash_names_a_file(artifacts, name):
    with pytest.raises(InvalidRequest, match="is not the sha256"):
        artifacts.get_bytes(name)


def test_a_directory_that_cannot_be_written_is_a_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(Unavailable, match="set EVOLVE_HOME to a directory that you can write"):
        ArtifactStore(tmp_path / "file" / "artifacts").put_bytes(b"weights")


def test_a_failed_write_leaves_no_part_behind(artifacts, settings, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evolve.files.os.replace", full)

    with pytest.raises(Unavailable, match="No space left on device; free space"):
        artifacts.put_bytes(b"weights")

    assert [path for path in (settings.home / "artifacts").rglob("*") if path.is_file()] == []


@pytest.fixture
def elsewhere() -> ArtifactStore:
    """fsspec's file system in memory stands for S3 and its like. It outlives a test, so each has a folder of its own."""
    return ArtifactStore.open(Settings.load(artifacts_url=f"memory://{uuid.uuid4()}/evolve"))


def test_artifacts_may_lie_wherever_fsspec_reaches(elsewhere):
    sha256 = elsewhere.put_bytes(b"weights")
    arrays = elsewhere.put_arrays({"x": np.arange(3)})

    assert elsewhere.where(sha256).startswith("memory://")
    assert elsewhere.get_bytes(sha256) == b"weights"
    np.testing.assert_array_equal(elsewhere.get_arrays(arrays)["x"], [0, 1, 2])


def test_elsewhere_too_a_changed_file_is_an_error_that_storing_again_mends(elsewhere):
    import fsspec

    sha256 = elsewhere.put_bytes(b"weights")
    with fsspec.open(elsewhere.where(sha256), "wb") as file:
        file.write(b"weightz")

    with pytest.raises(Unavailable, match="is damaged"):
        elsewhere.get_bytes(sha256)

    elsewhere.put_bytes(b"weights")
    assert elsewhere.holds(sha256)


def test_elsewhere_too_a_missing_file_is_an_error(elsewhere):
    with pytest.raises(Unavailable, match=r"is missing from memory://"):
        elsewhere.get_bytes("0" * 64)


def test_an_address_that_fsspec_does_not_know_is_refused():
    with pytest.raises(InvalidRequest, match="EVOLVE_ARTIFACTS_URL=carrier-pigeon://loft"):
        ArtifactStore("carrier-pigeon://loft")


def test_who_keeps_artifacts_at_home_never_loads_fsspec(tmp_path):
    code = (
        "import sys; from pathlib import Path; from evolve.memory.artifacts import ArtifactStore\n"
        "ArtifactStore(Path(sys.argv[1])).put_bytes(b'weights'); print('fsspec' in sys.modules)"
    )

    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert shown.stdout.strip() == "False"
