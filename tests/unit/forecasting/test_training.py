"""The training loop: its validation tail and when it stops."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evolve.errors import Unavailable
from evolve.forecasting.learned import Samples
from evolve.forecasting.training import (
    AdamW,
    Hardware,
    Training,
    _purged_tail,
    forecast,
    hardware,
    train,
    trained_on,
    with_head,
)

PLAN = Training(epochs=50, patience=3, batch_rows=32, learning_rate=0.05, weight_decay=0.0, validation_share=0.2)


def samples(target, *, rows=200):
    table = np.random.default_rng(0).normal(0, 1, (rows, 1, 2))
    return Samples(table=table, target=target(table[:, 0, :]), bar=np.arange(rows))


def test_rows_whose_target_reaches_into_the_tail_are_left_out():
    fit_rows, tail_rows = _purged_tail(samples(lambda x: x[:, 0], rows=100), share=0.2, purge_bars=5)

    assert (fit_rows, tail_rows) == (slice(0, 75), slice(80, 100))


def linear(torch):
    return lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1), torch.nn.Flatten(0))


def test_the_loop_finds_a_line():
    torch = pytest.importorskip("torch")
    build = linear(torch)
    known = samples(lambda x: 0.5 * x[:, 0] - x[:, 1])

    patient = replace(PLAN, patience=50)
    network = train(build, known, training=patient, purge_bars=1, seed=0)

    np.testing.assert_allclose(forecast(network, known.table), known.target, atol=0.05)


def test_training_stops_when_the_tail_stops_improving_and_keeps_the_best_weights():
    """The tail says the opposite of the rest, so every pass makes it worse: the untrained network is kept."""
    torch = pytest.importorskip("torch")
    passes = []

    class Zero(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(2))

        def forward(self, table):
            passes.append(len(table))
            return table[:, -1] @ self.weight

    contrary = samples(lambda x: x[:, 0] * np.where(np.arange(len(x)) < 160, 1, -1))
    network = train(Zero, contrary, training=PLAN, purge_bars=1, seed=0)

    assert not network.weight.any()
    assert passes.count(40) == 1 + PLAN.patience  # the tail is looked at once before training and once after each pass


def test_one_wild_row_does_not_throw_the_network():
    torch = pytest.importorskip("torch")
    build = linear(torch)
    wild = samples(lambda x: np.where(np.arange(len(x)) == 7, 1e12, x[:, 0]))

    network = train(build, wild, training=PLAN, purge_bars=1, seed=0)

    assert float(network[1].weight.detach().abs().max()) < 5


def test_each_epoch_is_told_of():
    torch = pytest.importorskip("torch")
    heard = []

    train(
        linear(torch),
        samples(lambda x: x[:, 0]),
        training=replace(PLAN, epochs=3),
        purge_bars=1,
        seed=0,
        progress=lambda done, total, message: heard.append((done, total, message)),
    )

    assert heard == [(0, 3, "epoch 1 of 3"), (1, 3, "epoch 2 of 3"), (2, 3, "epoch 3 of 3")]


def test_the_head_starts_at_no_change():
    torch = pytest.importorskip("torch")

    network = with_head(torch.nn.Linear(2, 5), lambda body, table: body(table[:, -1]), inputs=2, window_bars=4)

    assert not forecast(network, np.ones((3, 4, 2))).any()


def test_bfloat16_is_used_when_it_is_chosen_and_the_card_says_so():
    torch = pytest.importorskip("torch")
    seen = []

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(2, 1)

        def forward(self, table):
            forecasts = self.line(table[:, -1])[:, 0]
            seen.append(forecasts.dtype)
            return forecasts

    chosen = Hardware(precision="bfloat16", threads=2)
    with trained_on(chosen):
        network = train(Line, samples(lambda x: x[:, 0]), training=PLAN, purge_bars=1, seed=0)

    assert {torch.bfloat16, torch.float32} == set(seen)  # trained in the one, judged in the other
    assert network.line.weight.dtype == torch.float32
    assert chosen.note == "trained on cpu in bfloat16 with 2 threads: other hardware may give other weights"
    assert (hardware(), hardware().note) == (Hardware(), "")


def test_a_gpu_that_is_not_there_is_a_sentence_and_auto_takes_the_cpu():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")

    with (
        trained_on(Hardware(device="cuda")),
        pytest.raises(Unavailable, match="torch sees no GPU: set it to cpu or auto"),
    ):
        train(linear(torch), samples(lambda x: x[:, 0]), training=PLAN, purge_bars=1, seed=0)
    assert Hardware(device="auto").torch_device().type == "cpu"
    assert Hardware(device="auto").note == ""


def test_auto_takes_the_gpu_that_is_there_and_the_card_says_so(monkeypatch):
    """Whether one is there is counted, not asked of the driver, which would survive no fork."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("starts the driver in a process that forks"))

    assert Hardware(device="auto").torch_device().type == "cuda"
    assert Hardware(device="auto").note.startswith("trained on cuda in float32 with 1 thread:")
    assert Hardware(device="cpu").torch_device().type == "cpu"


def test_what_the_processor_cannot_compute_in_bfloat16_is_a_sentence():
    torch = pytest.importorskip("torch")

    class Refusing(torch.nn.Module):
        """As oneDNN's LSTM does on processors without the instructions."""

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(2))

        def forward(self, table):
            if torch.is_autocast_enabled("cpu"):
                raise RuntimeError("could not create a primitive. Run with ONEDNN_VERBOSE")
            return table[:, -1] @ self.weight

    with (
        trained_on(Hardware(precision="bfloat16")),
        pytest.raises(Unavailable, match=r"could not create a primitive\); set EVOLVE_TRAINING_PRECISION to float32"),
    ):
        train(Refusing, samples(lambda x: x[:, 0]), training=PLAN, purge_bars=1, seed=0)


def test_our_adamw_makes_the_steps_of_torchs():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    start, gradients = torch.randn(5, 3), torch.randn(40, 5, 3)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    steps = (
        (ours, AdamW([ours], learning_rate=0.02, weight_decay=0.1)),
        (theirs, torch.optim.AdamW([theirs], lr=0.02, weight_decay=0.1)),
    )

    for gradient in gradients:
        for weight, optimiser in steps:
            weight.grad = gradient.clone()
            optimiser.step()

    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, start)


def test_training_does_not_load_torchs_compiler():
    pytest.importorskip("torch")
    code = (
        "import sys; from unit.forecasting.worlds import planted; from evolve.forecasting.base import forecaster\n"
        "forecaster('lstm').fit(planted('ar1', bars=400, seed=0).bars, hyperparameters={'epochs': 1})\n"
        "print('torch._dynamo' in sys.modules)"
    )
    tests = str(Path(__file__).resolve().parents[2])

    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": tests},
    )  # fmt: skip

    assert shown.stdout.strip() == "False"
