"""What do all neural families share? All but the network: committee, training, forecasting, and how weights are kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from evolve.forecasting import training
from evolve.forecasting.base import Arrays, Hyperparameter, HyperValue
from evolve.forecasting.learned import LearnedForecaster, Samples
from evolve.forecasting.training import Forward, Training
from evolve.market.bars import Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

TRAINING = (
    Hyperparameter("window_bars", "int", 10, "how many bars, the decision bar last, the network reads", low=2, high=252),
    Hyperparameter("epochs", "int", 12, "passes over the rows, at most", low=1, high=1000, scale="log"),
    Hyperparameter("patience", "int", 4, "passes without a better tail after which training stops", low=1, high=100),
    Hyperparameter("batch_rows", "int", 128, "rows per step", low=8, high=4096, scale="log"),
    Hyperparameter("learning_rate", "float", 0.003, "step size of AdamW", low=1e-5, high=0.1, scale="log"),
    Hyperparameter("weight_decay", "float", 0.01, "pull of weights towards 0 (AdamW)", low=0.0, high=10.0),
    Hyperparameter("validation_share", "float", 0.15, "newest share of the rows, on which training is stopped", low=0.05, high=0.5),
)  # fmt: skip


class Network:
    """A trained network as a member of a committee."""

    def __init__(self, module: nn.Module, forward: Forward) -> None:
        self.module = module
        self.forward = forward

    def predict(self, table: Floats) -> Floats:
        return training.forecast(self.module, self.forward, table)

    def arrays(self) -> Arrays:
        return training.weights(self.module)


class NeuralForecaster(LearnedForecaster):
    """A family whose members are networks: it says how to build one and how to call it."""

    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = TRAINING
    blocks = 3  # each member costs a training; three, and a fit of ten years stays within seconds

    @abstractmethod
    def build(self, inputs: int, settings: Mapping[str, HyperValue]) -> nn.Module:
        """A network for `inputs` features, freshly initialised from torch's random state."""

    @staticmethod
    @abstractmethod
    def forward(network: nn.Module, table: Tensor) -> Tensor:
        """(rows, window, features) → (rows,)."""

    def require(self) -> None:
        training.require_torch(self.family)

    def window_bars(self, settings: Mapping[str, HyperValue]) -> int:
        return int(settings["window_bars"])

    def fit_member(
        self, samples: Samples, *, settings: Mapping[str, HyperValue], horizon_bars: int, seed: int
    ) -> Network:
        inputs = samples.table.shape[2]
        plan = Training(
            epochs=int(settings["epochs"]),
            patience=int(settings["patience"]),
            batch_rows=int(settings["batch_rows"]),
            learning_rate=float(settings["learning_rate"]),
            weight_decay=float(settings["weight_decay"]),
            validation_share=float(settings["validation_share"]),
        )
        module = training.train(
            lambda: self.build(inputs, settings),
            self.forward,
            samples,
            training=plan,
            purge_bars=horizon_bars,
            seed=seed,
        )
        return Network(module, self.forward)

    def restore_member(self, arrays: Arrays, *, inputs: int, settings: Mapping[str, HyperValue]) -> Network:
        self.require()
        return Network(training.load_weights(self.build(inputs, settings), arrays), self.forward)
