"""How is a neural network trained here? The one training loop of all neural families.

A family brings a torch module and how to call it, `with_head` makes it forecast; this loop brings batches, early stopping on a purged tail, gradient clipping,
seeds and determinism. torch is imported when something is trained or restored, never before: it takes seconds and 300 MB.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from evolve.errors import MissingExtra, Unavailable
from evolve.forecasting.base import Arrays, Progress, unheard
from evolve.forecasting.learned import Samples
from evolve.market.bars import Floats

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

States = Callable[["nn.Module", "Tensor"], "Tensor"]
"""(network, table of shape (rows, window, features)) → states of shape (rows, states)."""

GRADIENT_NORM = 1.0  # a batch that holds a crash must not undo an epoch
PREDICTION_ROWS = 1024  # bounds memory
STEPS = (
    8  # in a pass over many rows, at most: more of them cost time and, at this strength of signal, find nothing more
)


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how boldly to train. validation_share: the newest share of the rows, on which training is stopped."""

    epochs: int
    patience: int
    batch_rows: int
    learning_rate: float
    weight_decay: float
    validation_share: float


Device = Literal["cpu", "cuda", "auto"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """What to train on. auto: the GPU where torch sees one, else the CPU.

    The default of the library is one thread of the CPU in single precision: only so are weights the same on every machine.
    Services take what the settings say, a GPU where there is one; the card of a model says when it was another than this.
    """

    device: Device = "cpu"
    precision: Precision = "float32"
    threads: int = 1

    def torch_device(self) -> torch.device:
        """Raises Unavailable for a GPU that torch does not see."""
        import torch

        # Counted, not `is_available()`: that starts the driver in this process, which then survives no fork.
        seen = self.device != "cpu" and torch.cuda.device_count() > 0
        if self.device == "cuda" and not seen:
            raise Unavailable(
                "EVOLVE_TRAINING_DEVICE is cuda, but torch sees no GPU: set it to cpu or auto, or run `evolve setup torch` where the driver is installed"
            )
        return torch.device("cuda" if seen else "cpu")

    @property
    def note(self) -> str:
        """For the card of a model that was trained otherwise than by default; empty for one that was not."""
        # Without torch there is no network to train, and so nothing to say of where.
        if self == _DEFAULT or importlib.util.find_spec("torch") is None:
            return ""
        device: Device = "cuda" if self.torch_device().type == "cuda" else "cpu"
        if replace(self, device=device) == _DEFAULT:
            return ""
        return f"trained on {device} in {self.precision} with {self.threads} thread{'s'[: self.threads > 1]}: other hardware may give other weights"


_DEFAULT = Hardware()
_hardware: ContextVar[Hardware] = ContextVar("hardware", default=_DEFAULT)


def hardware() -> Hardware:
    """What networks are trained on here."""
    return _hardware.get()


@contextmanager
def trained_on(chosen: Hardware) -> Iterator[None]:
    """Networks fitted inside, also by forked workers, are trained on `chosen`. No argument of `fit`: it is no part of a recipe."""
    before = _hardware.set(chosen)
    try:
        yield
    finally:
        _hardware.reset(before)


def require_torch(family: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra(f"{family} needs torch, which is not installed; run `evolve setup torch`", extra="torch")


def with_head(body: nn.Module, states: States, *, inputs: int, window_bars: int) -> nn.Module:
    """A module (rows, window, features) → (rows,): a line in the states of `body`.

    The line starts at 0: the network departs from "no change" only as far as the rows ask.
    """
    import torch
    from torch import nn

    with torch.no_grad():
        count = states(body, torch.zeros(1, window_bars, inputs)).shape[1]
    head = nn.Linear(count, 1, bias=False)
    nn.init.zeros_(head.weight)

    class Forecast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body
            self.head = head

        def forward(self, table: Tensor) -> Tensor:
            forecast: Tensor = self.head(states(self.body, table))
            return forecast[:, 0]

    return Forecast()


def train(
    build: Callable[[], nn.Module],
    samples: Samples,
    *,
    training: Training,
    purge_bars: int,
    seed: int,
    progress: Progress = unheard,
) -> nn.Module:
    """The network with the least squared error on the purged tail of `samples`.

    build is called after seeding, so that weights start the same for one seed. Rows whose target reaches into the tail are left
    out (purge_bars before it). On `hardware()`; by its default deterministic: one thread, seeded order of rows, no dropout state
    from outside.
    """
    import torch

    fit_rows, tail_rows = _purged_tail(samples, share=training.validation_share, purge_bars=purge_bars)
    chosen = hardware()
    device = chosen.torch_device()
    with _Deterministic(seed, threads=chosen.threads):
        network = build().to(device)
        table, target = _tensors(samples[fit_rows], device)
        tail_table, tail_target = _tensors(samples[tail_rows], device)
        optimiser = AdamW(
            network.parameters(), learning_rate=training.learning_rate, weight_decay=training.weight_decay
        )
        order = torch.Generator().manual_seed(seed)
        batch_rows = max(training.batch_rows, len(target) // STEPS)

        def loss_on_tail() -> float:
            return float(((_evaluate(network, tail_table) - tail_target) ** 2).mean())

        # The untrained network competes too: where nothing can be learned, it stays.
        best_loss, best, stale = loss_on_tail(), deepcopy(network.state_dict()), 0
        for epoch in range(training.epochs):
            progress(epoch, training.epochs, f"epoch {epoch + 1} of {training.epochs}")
            network.train()
            for rows in torch.split(torch.randperm(len(target), generator=order), batch_rows):
                loss = ((_forward(network, table[rows], chosen) - target[rows]) ** 2).mean()
                network.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_NORM)
                optimiser.step()
            tail_loss = loss_on_tail()
            if tail_loss < best_loss:
                best_loss, best, stale = tail_loss, deepcopy(network.state_dict()), 0
            else:
                stale += 1
                if stale >= training.patience:
                    break
        network.load_state_dict(best)
    return network.cpu()


class AdamW:
    """Adam with decoupled weight decay, to the bit as torch.optim's, whose first use imports a compiler: 2 s of CPU and 90 MB.

    Source: Loshchilov & Hutter (2019), Decoupled weight decay regularization, arXiv:1711.05101.
    """

    FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Iterable[nn.Parameter], *, learning_rate: float, weight_decay: float) -> None:
        import torch

        self.learning_rate = learning_rate
        self.decay = 1 - learning_rate * weight_decay
        self.steps = 0
        # Each weight with the running means of its gradient and of its square.
        self.state = [(each, torch.zeros_like(each), torch.zeros_like(each)) for each in parameters]

    def step(self) -> None:
        import torch

        self.steps += 1
        size = self.learning_rate / (1 - self.FIRST**self.steps)
        scale = (1 - self.SECOND**self.steps) ** 0.5
        with torch.no_grad():
            for weight, mean, square in self.state:
                if weight.grad is None:
                    continue
                mean.lerp_(weight.grad, 1 - self.FIRST)
                square.mul_(self.SECOND).addcmul_(weight.grad, weight.grad, value=1 - self.SECOND)
                weight.mul_(self.decay)
                weight.addcdiv_(mean, (square.sqrt() / scale).add_(self.EPSILON), value=-size)


def forecast(network: nn.Module, table: Floats) -> Floats:
    """The network's forecasts, shape (rows,)."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = _evaluate(network, torch.from_numpy(table.astype(np.float32)))
    finally:
        torch.set_num_threads(threads)
    return np.asarray(found.numpy(), dtype=np.float64)


def weights(network: nn.Module) -> Arrays:
    return {name: values.detach().numpy() for name, values in network.state_dict().items()}


def load_weights(network: nn.Module, arrays: Arrays) -> nn.Module:
    """`network` with these weights; KeyError for a missing one."""
    import torch

    network.load_state_dict({name: torch.from_numpy(np.array(arrays[name])) for name in network.state_dict()})
    return network


def _purged_tail(samples: Samples, *, share: float, purge_bars: int) -> tuple[slice, slice]:
    first_of_tail = len(samples) - max(1, round(share * len(samples)))
    last_fit_bar = samples.bar[first_of_tail] - purge_bars
    return slice(0, int(np.searchsorted(samples.bar, last_fit_bar))), slice(first_of_tail, len(samples))


def _tensors(samples: Samples, device: torch.device) -> tuple[Tensor, Tensor]:
    import torch

    table, target = (torch.from_numpy(each.astype(np.float32)) for each in (samples.table, samples.target))
    return table.to(device), target.to(device)


def _forward(network: nn.Module, table: Tensor, chosen: Hardware) -> Tensor:
    """The forecasts of a batch in single precision, however they were computed. Raises Unavailable where the processor cannot."""
    import torch

    if chosen.precision == "float32":
        found: Tensor = network(table)
        return found
    try:
        with torch.autocast(table.device.type, torch.bfloat16):
            half: Tensor = network(table)
        return half.float()
    except RuntimeError as error:
        # torch knows only when it tries: an LSTM, say, asks for instructions that convolutions do without.
        raise Unavailable(
            f"torch cannot train this network in bfloat16 on this {table.device.type} ({str(error).partition('.')[0]}); set EVOLVE_TRAINING_PRECISION to float32"
        ) from error


def _evaluate(network: nn.Module, table: Tensor) -> Tensor:
    import torch

    network.eval()
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(table, PREDICTION_ROWS)])


class _Deterministic:
    """Seeded and on so many threads; and the caller's random state and threads back afterwards."""

    def __init__(self, seed: int, *, threads: int) -> None:
        self.seed = seed
        self.wanted = threads

    def __enter__(self) -> None:
        import torch

        self.threads = torch.get_num_threads()
        self.state = torch.get_rng_state()
        torch.set_num_threads(self.wanted)
        torch.manual_seed(self.seed)

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_rng_state(self.state)
        torch.set_num_threads(self.threads)
