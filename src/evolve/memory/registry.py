"""Which models exist, and what were they built from? A model is found again by its recipe, its data and the code that built it.

Deleting hides a model; its row, evaluations and files stay, so that an old answer can still be explained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, or_, select, update

from evolve.cards import ModelCard, Recipe
from evolve.clock import SYSTEM_CLOCK, Clock, iso
from evolve.errors import Forbidden, Internal, InvalidRequest, UnknownModel, nearest
from evolve.memory.aliases import held_by, release_all
from evolve.memory.artifacts import ArtifactStore
from evolve.memory.bundle import Bundle, read_bundle
from evolve.memory.canonical import canonical_json, from_json, recipe_hash, sha256_of
from evolve.memory.database import Database, insert_new
from evolve.memory.tables import models
from evolve.settings import Settings

ID_DIGITS = 8  # 32 bits within one type, symbol and timeframe: two of 1,000 models share an id once in 8,600 homes
_MODEL_ID = re.compile(r"(?P<model_type>[a-z_0-9]+)-(?P<symbol>[A-Z0-9.\-]+)-[0-9]+[mhdw]-[0-9a-f]+")


def model_id_of(recipe: Recipe, *, data_fingerprint: str, code_version: str) -> str:
    """`ridge-AAPL-1d-3f9c2a7b`: the same recipe, data and code give the same id, on any machine."""
    digest = sha256_of([recipe_hash(recipe), data_fingerprint, code_version])
    return f"{recipe.model_type}-{recipe.symbol}-{recipe.timeframe}-{digest[:ID_DIGITS]}"


class Registry:
    def __init__(self, database: Database, artifacts: ArtifactStore, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._artifacts = artifacts
        self._clock = clock

    @classmethod
    def open(cls, settings: Settings) -> Registry:
        return cls(Database.open(settings), ArtifactStore.open(settings))

    def save(
        self, card: ModelCard, *, weights: bytes, out_of_sample: Mapping[str, NDArray[np.generic]], request_id: str
    ) -> ModelCard:
        """Register a model and return its card as registered, with the hash of its weights.

        A model that is there already, or was saved by the same request before, stays as it is and is returned: a request that runs
        twice changes nothing. One that was deleted, or whose files are damaged, is stored anew. A request that saves several
        models gives each its own `request_id` (`<id>/1`, `<id>/2`).
        """
        # Files first: a crash between leaves a file that nothing names, never a row without its file.
        card = replace(card, weights_sha256=self._artifacts.put_bytes(weights))
        row = {
            "model_id": card.model_id,
            "recipe_hash": recipe_hash(card.recipe),
            "data_fingerprint": card.data.fingerprint,
            "code_version": card.code_version,
            "symbol": card.recipe.symbol,
            "timeframe": card.recipe.timeframe,
            "model_type": card.recipe.model_type,
            "card": canonical_json(card),
            "weights_sha256": card.weights_sha256,
            "out_of_sample_sha256": self._artifacts.put_arrays(out_of_sample),
            "request_id": request_id,
        }
        with self._database.write() as connection:
            if insert_new(connection, models, row) is not None:
                return card
            first = _first_of(connection, card.model_id, request_id)
            if first["model_id"] != card.model_id:
                return from_json(ModelCard, first["card"])
            identity = ("recipe_hash", "data_fingerprint", "code_version")
            if any(first[name] != row[name] for name in identity):
                raise Internal(
                    f"two different models have the id {card.model_id}; change the seed of this one to store it too"
                )
            withdrawn = first["deleted_at"] is not None and request_id not in (first["request_id"], first["deleted_by"])
            if not withdrawn and self._is_intact(first):
                return from_json(ModelCard, first["card"])
            renewed: dict[str, object] = {
                name: row[name] for name in ("card", "weights_sha256", "out_of_sample_sha256")
            }
            if withdrawn:
                renewed |= {"deleted_at": None, "deleted_by": None}
            connection.execute(update(models).where(models.c.id == first["id"]).values(renewed))
            return card

    def get(self, model_id: str) -> ModelCard:
        """The card. Raises UnknownModel with the nearest ids and the command that builds one."""
        return from_json(ModelCard, self._row(model_id)["card"])

    def weights(self, model_id: str) -> bytes:
        return self._artifacts.get_bytes(self._row(model_id)["weights_sha256"])

    def out_of_sample(self, model_id: str) -> dict[str, NDArray[np.generic]]:
        """The arrays that were saved with the model, such as its out-of-sample forecasts."""
        return self._artifacts.get_arrays(self._row(model_id)["out_of_sample_sha256"])

    def list(
        self,
        *,
        symbol: str | None = None,
        timeframe: str | None = None,
        model_type: str | None = None,
        limit: int | None = 50,
    ) -> tuple[ModelCard, ...]:
        """Cards of the models that are not deleted, newest first."""
        query = select(models.c.card).where(models.c.deleted_at.is_(None)).order_by(models.c.id.desc()).limit(limit)
        for column, wanted in (
            (models.c.symbol, symbol),
            (models.c.timeframe, timeframe),
            (models.c.model_type, model_type),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._database.read() as connection:
            texts = connection.execute(query).scalars().all()
        return tuple(from_json(ModelCard, text) for text in texts)

    def find(self, recipe_hash: str, data_fingerprint: str, *, code_version: str) -> ModelCard | None:
        """The model built from exactly this, so that it need not be built twice; None also when its files are damaged."""
        query = (
            select(models)
            .where(models.c.recipe_hash == recipe_hash, models.c.data_fingerprint == data_fingerprint)
            .where(models.c.code_version == code_version, models.c.deleted_at.is_(None))
        )
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return from_json(ModelCard, row["card"]) if row is not None and self._is_intact(row) else None

    def delete(self, model_id: str, *, request_id: str) -> None:
        """Hide a model; its history stays. The same request may delete it twice.

        Raises UnknownModel as `get` does, Forbidden while it is a champion. A challenger may go, and its alias is free.
        """
        with self._database.write() as connection:
            row = connection.execute(select(models).where(models.c.model_id == model_id)).mappings().first()
            if row is not None and row["deleted_by"] == request_id:
                return
            if row is not None and row["deleted_at"] is None:
                for held in held_by(connection, model_id):
                    if held.alias == "champion":
                        raise Forbidden(
                            f"{model_id} is the champion of {held.symbol} {held.timeframe}; make another model champion first (`evolve models promote`), or set it free (`evolve models release`)",
                            model_id=model_id,
                        )
                values = {"deleted_at": self._clock.now(), "deleted_by": request_id}
                release_all(
                    connection,
                    model_id,
                    reason="the model was deleted",
                    request_id=request_id,
                    moved_at=self._clock.now(),
                )
                connection.execute(update(models).where(models.c.id == row["id"]).values(values))
                return
        raise self._unknown(model_id, row)

    def export(self, model_id: str) -> bytes:
        """The whole model as one file, for `import_bundle`. Raises UnknownModel, and Unavailable when its files are damaged."""
        row = self._row(model_id)
        card = from_json(ModelCard, row["card"])
        return Bundle(
            card,
            self._artifacts.get_bytes(row["weights_sha256"]),
            self._artifacts.get_bytes(row["out_of_sample_sha256"]),
        ).to_bytes()

    def import_bundle(self, bundle: bytes, *, request_id: str) -> ModelCard:
        """Register a model that another home exported. Raises InvalidRequest for a file that was changed or is none."""
        read = read_bundle(bundle)
        card = read.card
        named = model_id_of(card.recipe, data_fingerprint=card.data.fingerprint, code_version=card.code_version)
        if card.model_id != named:
            raise InvalidRequest(f"this file calls itself {card.model_id}, but its recipe, data and code make {named}")
        forecasts = self._artifacts.get_arrays(self._artifacts.put_bytes(read.out_of_sample))
        return self.save(card, weights=read.weights, out_of_sample=forecasts, request_id=request_id)

    def _row(self, model_id: str) -> RowMapping:
        with self._database.read() as connection:
            row = connection.execute(select(models).where(models.c.model_id == model_id)).mappings().first()
        if row is None or row["deleted_at"] is not None:
            raise self._unknown(model_id, row)
        return row

    def _is_intact(self, row: RowMapping) -> bool:
        return self._artifacts.holds(row["weights_sha256"]) and self._artifacts.holds(row["out_of_sample_sha256"])

    def _unknown(self, model_id: str, row: RowMapping | None) -> UnknownModel:
        with self._database.read() as connection:
            known = (
                connection.execute(
                    select(models.c.model_id).where(models.c.deleted_at.is_(None)).order_by(models.c.id.desc())
                )
                .scalars()
                .all()
            )
        suggestions = nearest(model_id, known) or list(known[:3])
        parsed = _MODEL_ID.fullmatch(suggestions[0] if suggestions and row is None else model_id)
        command = f"evolve build {parsed['model_type']} {parsed['symbol']}" if parsed else "evolve build ridge AAPL"
        if row is not None:
            problem = f"model {model_id!r} was deleted at {iso(row['deleted_at'])}"
        else:
            problem = f"there is no model {model_id!r}"
        near = f"; nearest: {', '.join(suggestions)}" if suggestions else ""
        return UnknownModel(
            f"{problem}{near}; `{command}` builds one", model_id=model_id, nearest=suggestions, command=command
        )


def _first_of(connection: Connection, model_id: str, request_id: str) -> RowMapping:
    """The row that kept a new one out: the model this request has saved before, else the model of that id."""
    query = select(models).where(or_(models.c.model_id == model_id, models.c.request_id == request_id))
    rows = connection.execute(query).mappings().all()
    return next((row for row in rows if row["request_id"] == request_id), rows[0])
