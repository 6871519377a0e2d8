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
        Hyperparameter("hidden", "int", 8, "numbers the memory holds", low=1, high=256, scale="log"),
    )

    def build(self, inputs: int, settings: Mapping[str, HyperValue]) -> nn.Module:
        from torch import nn

        hidden = int(settings["hidden"])
        memory = nn.LSTM(inputs, hidden, batch_first=True)
        # The newest bar also goes straight to the output: what is linear in it need not pass the gates.
        newest = nn.Linear(inputs, 1)
        head = nn.Linear(hidden, 1, bias=False)
        # It starts as "no change", the baseline, and departs from it only as far as the rows ask.
        for parameter in (*newest.parameters(), *head.parameters()):
            nn.init.zeros_(parameter)
        return nn.ModuleDict({"memory": memory, "newest": newest, "head": head})

    @staticmethod
    def forward(network: nn.Module, table: Tensor) -> Tensor:
        from torch import nn

        assert isinstance(network, nn.ModuleDict)
        states, _ = network["memory"](table)
        forecast: Tensor = network["newest"](table[:, -1]) + network["head"](states[:, -1])
        return forecast[:, 0]
