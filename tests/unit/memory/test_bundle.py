"""A model as one file: whole and unchanged, or refused."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from evolve.clock import FrozenClock
from evolve.errors import InvalidRequest
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.bundle import FORECASTS, MANIFEST, MAX_ENTRY_BYTES, WEIGHTS, read_bundle
from evolve.memory.canonical import canonical_json, sha256_of
from evolve.memory.database import Database
from evolve.memory.registry import Registry
from unit.memory.examples import card

FORECAST_ARRAYS = {"mean": np.array([0.1, -0.2])}


@pytest.fixture
def registry(database, artifacts):
    return Registry(database, artifacts, clock=FrozenClock())


@pytest.fixture
def saved(registry):
    return registry.save(card(), weights=b"weights", out_of_sample=FORECAST_ARRAYS, request_id="r1")


@pytest.fixture
def elsewhere(other_settings):
    settings = other_settings
    with Database.open(settings) as database:
        yield Registry(database, ArtifactStore.open(settings))


def with_entry(bundle: bytes, name: str, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, old in {**entries, name: content}.items():
            archive.writestr(entry, old if entry != name else content)
    return buffer.getvalue()


def test_a_model_arrives_in_another_home_as_it_left(registry, saved, elsewhere):
    arrived = elsewhere.import_bundle(registry.export(saved.model_id), request_id="i1")

    assert arrived == saved == elsewhere.get(saved.model_id)
    assert elsewhere.weights(saved.model_id) == b"weights"
    np.testing.assert_array_equal(elsewhere.out_of_sample(saved.model_id)["mean"], FORECAST_ARRAYS["mean"])


def test_equal_models_give_equal_files_and_importing_twice_changes_nothing(registry, saved, elsewhere):
    bundle = registry.export(saved.model_id)
    assert registry.export(saved.model_id) == bundle

    for request in ("i1", "i2"):
        elsewhere.import_bundle(bundle, request_id=request)

    assert len(elsewhere.list()) == 1


@pytest.mark.parametrize("name", [WEIGHTS, FORECASTS])
def test_a_file_whose_weights_or_forecasts_were_changed_is_refused(registry, saved, elsewhere, name):
    with pytest.raises(InvalidRequest, match="were changed after the export"):
        elsewhere.import_bundle(with_entry(registry.export(saved.model_id), name, b"other"), request_id="i")
    assert elsewhere.list() == ()


def manifest_of(bundle: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        found: dict[str, str] = json.loads(archive.read(MANIFEST))
    return found


def test_a_card_that_was_embellished_is_refused(registry, saved, elsewhere):
    bundle = registry.export(saved.model_id)
    better = manifest_of(bundle) | {"card": canonical_json(replace(saved, notes=("the best model ever",)))}

    with pytest.raises(InvalidRequest, match="the card in this file"):
        elsewhere.import_bundle(with_entry(bundle, MANIFEST, canonical_json(better).encode()), request_id="i")


def test_a_card_under_another_models_id_is_refused_even_with_hashes_that_agree(registry, saved, elsewhere):
    bundle = registry.export(saved.model_id)
    other = replace(saved, model_id="ridge-AAPL-1d-00000000")
    forged = manifest_of(bundle) | {"card": canonical_json(other), "card_sha256": sha256_of(other)}

    with pytest.raises(InvalidRequest, match="but its recipe, data and code make"):
        elsewhere.import_bundle(with_entry(bundle, MANIFEST, canonical_json(forged).encode()), request_id="i")


def test_weights_of_another_model_are_refused_even_with_hashes_that_agree(registry, saved):
    bundle = registry.export(saved.model_id)
    import hashlib

    forged = manifest_of(bundle) | {"weights_sha256": hashlib.sha256(b"other").hexdigest()}
    changed = with_entry(with_entry(bundle, WEIGHTS, b"other"), MANIFEST, canonical_json(forged).encode())

    with pytest.raises(InvalidRequest, match="are not those of"):
        read_bundle(changed)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04K\x01.", b"not a zip", b"PK\x05\x06" + 18 * b"\0"])
def test_a_foreign_file_is_refused(content):
    with pytest.raises(InvalidRequest, match="not a model exported by Evolve"):
        read_bundle(content)


def test_a_file_with_more_in_it_or_a_later_format_is_refused(registry, saved):
    bundle = registry.export(saved.model_id)
    with pytest.raises(InvalidRequest, match="other files are in it"):
        read_bundle(with_entry(bundle, "../../evil.pkl", b"x"))
    later = manifest_of(bundle) | {"format": "evolve-model/9"}
    with pytest.raises(InvalidRequest, match="'evolve-model/9'; this version reads"):
        read_bundle(with_entry(bundle, MANIFEST, canonical_json(later).encode()))
    with pytest.raises(InvalidRequest, match="no readable manifest"):
        read_bundle(with_entry(bundle, MANIFEST, b"[]"))


def test_an_entry_that_claims_to_be_huge_is_not_unpacked(registry, saved):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (MANIFEST, WEIGHTS, FORECASTS):
            archive.writestr(name, b"\0" * (MAX_ENTRY_BYTES + 1 if name == WEIGHTS else 1))

    with pytest.raises(InvalidRequest, match="claims an entry above 64 MB"):
        read_bundle(buffer.getvalue())


def test_cutting_the_file_anywhere_is_noticed(registry, saved):
    bundle = registry.export(saved.model_id)
    for cut in range(0, len(bundle), 97):
        with pytest.raises(InvalidRequest):
            read_bundle(bundle[:cut])
