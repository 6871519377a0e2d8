"""What is a model family here, which are there, and what does a fitted one promise?

A `Forecaster` is a family: it declares its hyperparameters and fits bars. A `FittedForecaster` forecasts, for the close of each
decision bar t, the log return from close t to close t + horizon, out of bars up to t, and can be written to bytes and read back
(safetensors, never pickle: reading a model must not run code).

To add a family: one file with a subclass of `Forecaster`, one line in `FAMILIES`.
"""

from __future__ import annotations

import importlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from evolve.errors import InvalidRequest, nearest
from evolve.market.bars import Bars, Floats

HyperValue = int | float | str
Arrays = dict[str, NDArray[np.generic]]
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

# Modules are imported when a family is asked for, and torch or xgboost only when it is fitted or restored.
FAMILIES: dict[str, str] = {
    "drift": "evolve.forecasting.naive:Drift",
    "ensemble": "evolve.forecasting.ensemble:Ensemble",
    "ets": "evolve.forecasting.ets:Ets",
    "lstm": "evolve.forecasting.lstm:Lstm",
    "naive": "evolve.forecasting.naive:Naive",
    "ridge": "evolve.forecasting.ridge:Ridge",
    "tcn": "evolve.forecasting.tcn:Tcn",
    "transformer": "evolve.forecasting.transformer:Transformer",
    "xgboost": "evolve.forecasting.boosting:Boosting",
}
BASELINES = ("naive", "drift")
"""Families that learn nothing from features: what every other one must beat."""

Progress = Callable[[int, int, str], None]
"""(steps done, steps, a sentence). What it raises, `Cancelled` say, ends the work."""


def unheard(done: int, total: int, message: str) -> None:
    """Progress that nobody listens to."""


_FORMAT = 1
_HEADER = "evolve_forecaster"


def families() -> tuple[str, ...]:
    """The names of all model families, sorted."""
    return tuple(sorted(FAMILIES))


def forecaster(family: str) -> Forecaster:
    """The family of that name (any case). Raises InvalidRequest with the nearest names for an unknown one."""
    name = family.strip().lower()
    if name not in FAMILIES:
        raise InvalidRequest(_unknown("model type", family, families()))
    module, _, cls = FAMILIES[name].partition(":")
    found: type[Forecaster] = getattr(importlib.import_module(module), cls)
    return found()


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One declared setting of a family. low and high are inclusive; scale says in which steps a search should move.

    search: where a search looks unless told otherwise; None: wherever it is allowed.
    """

    name: str
    kind: Literal["int", "float", "choice"]
    default: HyperValue
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    scale: Literal["linear", "log"] = "linear"
    search: tuple[float, float] | None = None

    @property
    def allowed(self) -> str:
        """In words: `a whole number from 1 to 4`."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        noun = "a whole number" if self.kind == "int" else "a number"
        return f"{noun} from {self.low:g} to {self.high:g}"

    def check(self, family: str, value: object) -> HyperValue:
        """`value` in this hyperparameter's type. Raises InvalidRequest naming what is allowed."""
        if self.kind == "choice":
            if isinstance(value, str) and value.lower() in self.choices:
                return value.lower()
        elif isinstance(value, int | float) and not isinstance(value, bool) and self._in_range(value):
            return int(value) if self.kind == "int" else float(value)
        raise InvalidRequest(f"{family}: {self.name} must be {self.allowed}, not {value!r}")

    def _in_range(self, value: float) -> bool:
        assert self.low is not None
        assert self.high is not None
        # A whole float is taken for an int: JSON and optimisers do not tell 3 from 3.0. NaN fails both comparisons.
        return self.low <= value <= self.high and (self.kind == "float" or float(value).is_integer())


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What was forecast at the close of each decision bar.

    start: the first decision bar; mean: expected log return from its close to the close horizon_bars later; std: its standard
    deviation, > 0; both of shape (decision bars,), no NaN.
    """

    start: int
    horizon_bars: int
    mean: Floats
    std: Floats

    @property
    def stop(self) -> int:
        return self.start + len(self.mean)


class FittedForecaster(ABC):
    """A model that was fitted. Immutable; knows what it needs to forecast and to be written down."""

    family: str
    horizon_bars: int
    timeframe: str
    features: tuple[str, ...] = ()
    hyperparameters: Mapping[str, HyperValue]
    notes: tuple[str, ...] = ()
    """Fallbacks that were taken while fitting, in sentences for the reader of the answer."""

    @property
    @abstractmethod
    def first_bar(self) -> int:
        """The first bar at which it can forecast: before, there is too little history."""

    def predict(self, bars: Bars, start: int, stop: int) -> Forecasts:
        """Forecasts at the closes of bars start … stop − 1. What lies at or after `stop` is cut off before anything is computed.

        Raises InvalidRequest for bars of another timeframe or decision bars outside of first_bar … len(bars).
        """
        if bars.timeframe != self.timeframe:
            raise InvalidRequest(
                f"this {self.family} was fitted on {self.timeframe} bars, not {bars.timeframe}; build one for {bars.timeframe}"
            )
        if not self.first_bar <= start < stop <= len(bars):
            raise InvalidRequest(
                f"{self.family} can forecast at bars {self.first_bar} to {len(bars) - 1} of these {len(bars)} bars of {bars.symbol}, not at {start} to {stop - 1}"
            )
        mean, std = self._predict(bars.slice(0, stop), start)
        return Forecasts(start=start, horizon_bars=self.horizon_bars, mean=mean, std=std)

    @abstractmethod
    def _predict(self, bars: Bars, start: int) -> tuple[Floats, Floats]:
        """Mean and std at the closes of bars start … len(bars) − 1."""

    def compiled(self) -> FittedForecaster:
        """The same model, its networks as one graph for ONNX Runtime: a tenth of the time for one row, for a tenth of a second once.

        Forecasts agree to 1e-5 of their size, bytes are equal. Itself for a family that has nothing to gain. Raises MissingExtra.
        """
        return self

    @abstractmethod
    def to_bytes(self) -> bytes:
        """The whole model, for `restore`. Equal models give equal bytes."""


class Forecaster(ABC):
    """A model family."""

    family: ClassVar[str]
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = ()
    reads_features: ClassVar[bool] = True
    """False for those that look at closes only, whatever features are named."""
    dear: ClassVar[bool] = False
    """True where a fit takes so long that thinking for a third of a second about the next trial of a search pays."""

    @abstractmethod
    def fit(
        self,
        bars: Bars,
        *,
        features: Sequence[str] = (),
        hyperparameters: Mapping[str, HyperValue] | None = None,
        horizon_bars: int = 1,
        seed: int = 0,
        progress: Progress = unheard,
    ) -> FittedForecaster:
        """Fit all of `bars`. features: names for `features.resolve`, empty = the default set. The same arguments give equal bytes.

        progress: told of each part and epoch of a long fit.

        Raises InvalidRequest for unknown features or hyperparameters, DataUnavailable for bars that hold too little to learn
        from, MissingExtra when the family needs a package that is not installed.
        """

    @abstractmethod
    def restore(self, header: Header, arrays: Arrays) -> FittedForecaster:
        """The fitted model that `pack` was given."""

    def settings(self, given: Mapping[str, HyperValue] | None) -> dict[str, HyperValue]:
        """Every hyperparameter of the family: the given value, else the default.

        Raises InvalidRequest for an unknown name (with the nearest) or a value out of range (with the allowed ones).
        """
        given = given or {}
        known = {declared.name: declared for declared in self.hyperparameters}
        for name in given:
            if name not in known:
                raise InvalidRequest(_unknown(f"{self.family}: hyperparameter", name, known))
        return {
            name: declared.check(self.family, given.get(name, declared.default)) for name, declared in known.items()
        }


@dataclass(frozen=True)
class Header:
    """What is written beside the weights: values of JSON only."""

    family: str
    horizon_bars: int
    timeframe: str
    features: tuple[str, ...] = ()
    hyperparameters: Mapping[str, HyperValue] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


def pack(header: Header, arrays: Arrays) -> bytes:
    """A model as safetensors bytes: the header as JSON in its metadata, the arrays as tensors. Equal input, equal bytes."""
    from safetensors.numpy import save

    text = json.dumps({"format": _FORMAT, **vars(header)}, sort_keys=True, default=dict)
    # A copy: safetensors writes the buffer of a strided view as it lies in memory.
    packed: bytes = save({name: np.array(values, order="C") for name, values in arrays.items()}, {_HEADER: text})
    return packed


def unpack(data: bytes) -> tuple[Header, Arrays]:
    """What `pack` wrote. Raises InvalidRequest for bytes that are no model, of a later format, or of an unknown family."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        size = int.from_bytes(data[:8], "little")
        fields = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_HEADER])
        written = fields.pop("format")
        header = Header(**fields)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"these bytes are not a model written by Evolve ({error})") from None
    if written != _FORMAT:
        raise InvalidRequest(
            f"this model has format {written}; this version reads {_FORMAT}: upgrade, or build the model again"
        )
    header = Header(**{**vars(header), "features": tuple(header.features), "notes": tuple(header.notes)})
    forecaster(header.family)
    return header, arrays


def restore(data: bytes) -> FittedForecaster:
    """The model that `to_bytes` wrote. Raises InvalidRequest as `unpack` does, or for weights that are missing."""
    header, arrays = unpack(data)
    try:
        return forecaster(header.family).restore(header, arrays)
    except KeyError as missing:
        raise InvalidRequest(f"this {header.family} model is incomplete: {missing} is missing") from None


def check_horizon(horizon_bars: int) -> None:
    if not 1 <= horizon_bars <= MAX_HORIZON_BARS:
        raise InvalidRequest(f"horizon_bars must be from 1 to {MAX_HORIZON_BARS}, not {horizon_bars}")


# A quarter of daily bars. Beyond it, ten years hold fewer than 40 independent outcomes, too few to show any skill.
MAX_HORIZON_BARS = 63


def _unknown(what: str, name: str, known: Mapping[str, object] | Sequence[str]) -> str:
    near = nearest(name, known)
    suggestion = f"nearest: {', '.join(near)}; " if near else ""
    return f"unknown {what} {name!r}; {suggestion}known: {', '.join(sorted(known)) or 'none'}"
