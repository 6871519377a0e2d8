"""Temporal convolutional network: filters over the last bars, each layer reaching twice as far back, none into the future.

Source: Bai, Kolter & Koltun (2018), An empirical evaluation of generic convolutional and recurrent networks, arXiv:1803.01271.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from evolve.forecasting.base import Hyperparameter, HyperValue
from evolve.forecasting.neural import TRAINING, NeuralForecaster

if TYPE_CHECKING:
    from torch import Tensor, nn

KERNEL = 3  # bars a filter sees; three layers of it reach back 1 + 2 · (1 + 2 + 4) = 15 bars


class Tcn(NeuralForecaster):
    family: ClassVar[str] = "tcn"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        *TRAINING,
        Hyperparameter("channels", "int", 8, "filters in each layer", low=1, high=256, scale="log", search=(2, 32)),
        Hyperparameter(
            "layers", "int", 3, "layers; each reaches twice as far back as the one before", low=1, high=8, search=(1, 5)
        ),
    )

    def build(self, inputs: int, settings: Mapping[str, HyperValue]) -> nn.Module:
        from torch import nn

        channels = int(settings["channels"])
        return nn.ModuleList(
            nn.Conv1d(channels if layer else inputs, channels, KERNEL, dilation=2**layer)
            for layer in range(int(settings["layers"]))
        )

    @staticmethod
    def states(network: nn.Module, table: Tensor) -> Tensor:
        from torch import nn

        assert isinstance(network, nn.ModuleList)
        signal = table.transpose(1, 2)
        for layer, filters in enumerate(network):
            # Padded on the past side only: an output at t never depends on a bar after t.
            heard = nn.functional.relu(filters(nn.functional.pad(signal, ((KERNEL - 1) * 2**layer, 0))))
            signal = signal + heard if layer else heard
        return signal[:, :, -1]
