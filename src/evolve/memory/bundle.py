"""How does a model travel to another machine? As one file that says what is in it and proves that nothing was changed on the way.

A zip with exactly three entries: `manifest.json` (format, card, sha256 of the other two), `weights.safetensors` and
`out_of_sample.npz`. Nothing in it is ever executed: no pickle, arrays of numbers only. The hashes prove that a file is whole, not
who made it: whoever writes a new file can write new hashes.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass

from evolve.cards import ModelCard
from evolve.errors import InvalidRequest, Unavailable
from evolve.memory.canonical import canonical_json, from_json, sha256_of

FORMAT = "evolve-model/1"
MANIFEST, WEIGHTS, FORECASTS = "manifest.json", "weights.safetensors", "out_of_sample.npz"
MAX_ENTRY_BYTES = 64 << 20  # the largest model of the declared space is far smaller; a small zip can claim terabytes


@dataclass(frozen=True, slots=True)
class Bundle:
    card: ModelCard
    weights: bytes
    out_of_sample: bytes

    def to_bytes(self) -> bytes:
        """Equal bundles give equal bytes."""
        manifest = {
            "format": FORMAT,
            "card": canonical_json(self.card),
            "card_sha256": sha256_of(self.card),
            "weights_sha256": hashlib.sha256(self.weights).hexdigest(),
            "out_of_sample_sha256": hashlib.sha256(self.out_of_sample).hexdigest(),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            entries = {
                MANIFEST: canonical_json(manifest).encode(),
                WEIGHTS: self.weights,
                FORECASTS: self.out_of_sample,
            }
            for name, content in entries.items():
                archive.writestr(zipfile.ZipInfo(name), content)  # a ZipInfo of its own has no time of writing
        return buffer.getvalue()


def read_bundle(content: bytes) -> Bundle:
    """The bundle that `to_bytes` wrote. Raises InvalidRequest for any other file, saying what is wrong with it."""
    entries = _entries(content)
    try:
        manifest = json.loads(entries[MANIFEST])
        written = manifest["format"]
        card = from_json(ModelCard, manifest["card"])
        hashes = (manifest["card_sha256"], manifest["weights_sha256"], manifest["out_of_sample_sha256"])
    except (ValueError, KeyError, TypeError, Unavailable):
        raise InvalidRequest("this file has no readable manifest of a model; export the model again") from None
    if written != FORMAT:
        raise InvalidRequest(f"this model was exported as {str(written)[:40]!r}; this version reads {FORMAT!r}")
    found = (
        sha256_of(card),
        hashlib.sha256(entries[WEIGHTS]).hexdigest(),
        hashlib.sha256(entries[FORECASTS]).hexdigest(),
    )
    for what, claimed, actual in zip(("card", "weights", "forecasts"), hashes, found, strict=True):
        if claimed != actual:
            raise InvalidRequest(
                f"the {what} in this file were changed after the export: their sha256 is not the one written down"
            )
    if card.weights_sha256 != found[1]:
        raise InvalidRequest(f"the weights in this file are not those of {card.model_id}")
    return Bundle(card, entries[WEIGHTS], entries[FORECASTS])


def _entries(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if sorted(info.filename for info in infos) != sorted((MANIFEST, WEIGHTS, FORECASTS)):
                raise InvalidRequest("this is not a model exported by Evolve: other files are in it")
            if any(info.file_size > MAX_ENTRY_BYTES for info in infos):
                raise InvalidRequest(
                    f"this file claims an entry above {MAX_ENTRY_BYTES >> 20} MB; no model is that large"
                )
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError):
        raise InvalidRequest(
            "this is not a model exported by Evolve, or it was damaged or changed since: make one with `evolve models export`"
        ) from None
