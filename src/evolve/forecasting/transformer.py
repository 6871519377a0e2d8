"""Causal transformer: each of the last bars looks at itself and those before it, and weighs them by what they hold.

One block with layer norm before each step, learned positions and a causal mask.
Source: Vaswani et al. (2017), arXiv:1706.03762; Xiong et al. (2020), On layer normalization in the transformer, arXiv:2002.04745.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from evolve.forecasting.base import Hyperparameter, HyperValue
from evolve.forecasting.neural import TRAINING, NeuralForecaster

if TYPE_CHECKING:
    from torch import Tensor, nn

WIDTH_PER_HEAD = 4  # numbers each head keeps of a bar
POSITION_STD = 0.1  # small beside the standardised features: where a bar stands says less than what it holds


class Transformer(NeuralForecaster):
    family: ClassVar[str] = "transformer"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        *TRAINING,
        Hyperparameter("heads", "int", 2, "ways of weighing the bars, side by side", low=1, high=16, search=(1, 4)),
    )

    def build(self, inputs: int, settings: Mapping[str, HyperValue]) -> nn.Module:
        import torch
        from torch import nn

        width = int(settings["heads"]) * WIDTH_PER_HEAD
        return nn.ModuleDict(
            {
                "embed": nn.Linear(inputs, width),
                "positions": nn.ParameterList([POSITION_STD * torch.randn(int(settings["window_bars"]), width)]),
                "before_attention": nn.LayerNorm(width),
                "attend": nn.Linear(width, 3 * width),
                "mix": nn.Linear(width, width),
                "before_forward": nn.LayerNorm(width),
                "widen": nn.Linear(width, 2 * width),
                "narrow": nn.Linear(2 * width, width),
            }
        )

    @staticmethod
    def states(network: nn.Module, table: Tensor) -> Tensor:
        from torch import nn

        assert isinstance(network, nn.ModuleDict)
        bars = network["embed"](table) + _positions(network)
        rows, window, width = bars.shape
        asked = network["attend"](network["before_attention"](bars))
        query, key, value = asked.reshape(rows, window, 3, -1, WIDTH_PER_HEAD).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        bars = bars + network["mix"](seen.transpose(1, 2).reshape(rows, window, width))
        wide = nn.functional.relu(network["widen"](network["before_forward"](bars)))
        newest: Tensor = (bars + network["narrow"](wide))[:, -1]
        return newest


def _positions(network: nn.ModuleDict) -> Tensor:
    (positions,) = network["positions"].parameters()
    return positions
