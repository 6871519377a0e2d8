"""Long short-term memory: a network that reads the last bars one after the other and keeps what seems to matter.

Source: Hochreiter & Schmidhuber (1997), Neural Computation 9(8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from evolve.forecasting.base import Hyperparameter, HyperValue
from evolve.forecasting.neural import TRAINING, NeuralForecaster

if TYPE_CHECKING:
    from torch import Tensor, nn


class Lstm(NeuralForecaster):
    family: ClassVar[str] = "lstm"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        *TRAINING,
        Hyperparameter("hidden", "int", 8, "numbers the memory holds", low=1, high=256, scale="log", search=(2, 32)),
    )

    def build(self, inputs: int, settings: Mapping[str, HyperValue]) -> nn.Module:
        from torch import nn

        return nn.LSTM(inputs, int(settings["hidden"]), batch_first=True)

    @staticmethod
    def states(network: nn.Module, table: Tensor) -> Tensor:
        every_bar: Tensor = network(table)[0]
        return every_bar[:, -1]
