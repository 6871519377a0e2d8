"""What do all neural families share? All but the network: the line beside it, committee, training, forecasting, kept weights.

A member's forecast is a line in the newest bar's features, solved in closed form, plus the network's departure from it. At an R²
of 2 % gradient descent finds a line badly and least squares finds it at once, so the network is left what a line cannot say:
order, thresholds, interplay. Each of the two is believed as far as it was right where it had not looked (`learned`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evolve.forecasting import training
from evolve.forecasting.base import Arrays, Hyperparameter, HyperValue, Progress
from evolve.forecasting.graph import Graph
from evolve.forecasting.learned import LearnedForecaster, Member, Samples, Vote
from evolve.forecasting.ridge import Line, ridge
from evolve.forecasting.training import Training
from evolve.market.bars import Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

TRAINING = (
    Hyperparameter("window_bars", "int", 10, "how many bars, the decision bar last, the network reads", low=2, high=252, search=(4, 40)),
    Hyperparameter("epochs", "int", 8, "passes over the rows, at most", low=1, high=1000, scale="log", search=(4, 24)),
    Hyperparameter("patience", "int", 2, "passes without a better tail after which training stops", low=1, high=100, search=(1, 5)),
    Hyperparameter("batch_rows", "int", 256, "rows per step; an eighth of all rows where that is more", low=8, high=4096, scale="log", search=(32, 512)),
    Hyperparameter("learning_rate", "float", 0.005, "step size of AdamW", low=1e-5, high=0.1, scale="log", search=(5e-4, 0.05)),
    Hyperparameter("weight_decay", "float", 0.01, "pull of weights towards 0 (AdamW)", low=0.0, high=10.0, scale="log", search=(1e-4, 1.0)),
    Hyperparameter("validation_share", "float", 0.15, "newest share of the rows, on which training is stopped", low=0.05, high=0.5, search=(0.1, 0.3)),
)  # fmt: skip
_LINE = "line."


class Network:
    """A line and a trained network as one member of a committee: two parts, the line first."""

    def __init__(self, line: Line, module: nn.Module) -> None:
        self.line = line
        self.module = module

    def parts(self, table: Floats) -> Floats:
        return np.stack([self.line.predict(table[:, -1]), training.forecast(self.module, table)])

    def arrays(self) -> Arrays:
        line = {f"{_LINE}{name}": values for name, values in self.line.arrays().items()}
        return {**line, **training.weights(self.module)}


class NeuralForecaster(LearnedForecaster):
    """A family whose members hold networks: it says how to build one and how to call it."""

    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = TRAINING
    dear: ClassVar[bool] = True
    blocks = 4  # each member costs a training; four, and a fit of ten years stays within a second

    @abstractmethod
    def build(self, inputs: int, settings: Mapping[str, HyperValue]) -> nn.Module:
        """A network for `inputs` features, freshly initialised from torch's random state."""

    @staticmethod
    @abstractmethod
    def states(network: nn.Module, table: Tensor) -> Tensor:
        """(rows, window, features) → (rows, states): what the network made of each row's bars, the decision bar last."""

    def require(self) -> None:
        training.require_torch(self.family)

    def remarks(self) -> tuple[str, ...]:
        note = training.hardware().note
        return (note,) if note else ()

    def window_bars(self, settings: Mapping[str, HyperValue]) -> int:
        return int(settings["window_bars"])

    def fit_member(
        self, samples: Samples, *, settings: Mapping[str, HyperValue], horizon_bars: int, seed: int, progress: Progress
    ) -> Network:
        newest = samples.table[:, -1]
        line = ridge(newest, samples.target, alpha=None)
        module = training.train(
            lambda: self._whole(samples.table.shape[2], settings),
            replace(samples, target=samples.target - line.predict(newest)),
            training=_plan(settings),
            purge_bars=horizon_bars,
            seed=seed,
            progress=progress,
        )
        return Network(line, module)

    def restore_member(self, arrays: Arrays, *, inputs: int, settings: Mapping[str, HyperValue]) -> Network:
        self.require()
        of_line = {name.removeprefix(_LINE): values for name, values in arrays.items() if name.startswith(_LINE)}
        of_network = {name: values for name, values in arrays.items() if not name.startswith(_LINE)}
        return Network(Line.of(of_line), training.load_weights(self._whole(inputs, settings), of_network))

    def compiled_vote(self, members: Sequence[Member], *, inputs: int, window_bars: int) -> Vote:
        networks = [member for member in members if isinstance(member, Network)]
        line = Line(
            float(np.mean([network.line.intercept for network in networks])),
            np.mean([network.line.weights for network in networks], axis=0),
        )
        graph = Graph.of([network.module for network in networks], inputs=inputs, window_bars=window_bars)

        def vote(table: Floats) -> Floats:
            return np.stack([line.predict(table[:, -1]), graph.forecast(table)])

        return vote

    def _whole(self, inputs: int, settings: Mapping[str, HyperValue]) -> nn.Module:
        return training.with_head(
            self.build(inputs, settings), self.states, inputs=inputs, window_bars=self.window_bars(settings)
        )


def _plan(settings: Mapping[str, HyperValue]) -> Training:
    return Training(
        epochs=int(settings["epochs"]),
        patience=int(settings["patience"]),
        batch_rows=int(settings["batch_rows"]),
        learning_rate=float(settings["learning_rate"]),
        weight_decay=float(settings["weight_decay"]),
        validation_share=float(settings["validation_share"]),
    )
