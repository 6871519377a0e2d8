"""The training of `bench/models.py` by darts: its LSTM over the same windows, past covariates beside the target, as documented.

Prints {epochs: {cpu_s, steps}} as JSON, for two lengths of training: their difference is what steps cost, without the start.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings

import numpy as np
import torch
from darts import TimeSeries
from darts.models import BlockRNNModel

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "logger": False,
    "enable_checkpointing": False,
}


def main(path: str) -> None:
    given = np.load(path)
    window, batch, hidden, rate, decay = (given[name].item() for name in ("window", "batch", "hidden", "rate", "decay"))
    torch.set_num_threads(1)
    target = TimeSeries.from_values(given["features"][:, :1].astype(np.float32))
    covariates = TimeSeries.from_values(given["features"][:, 1:].astype(np.float32))

    def fit(epochs: int) -> tuple[float, int]:
        model = BlockRNNModel(
            input_chunk_length=window, output_chunk_length=1, model="LSTM", hidden_dim=hidden, n_rnn_layers=1, batch_size=batch,
            n_epochs=epochs, optimizer_cls=torch.optim.AdamW, optimizer_kwargs={"lr": rate, "weight_decay": decay},
            random_state=1, pl_trainer_kwargs={**QUIET, "gradient_clip_val": 1.0}, save_checkpoints=False,
        )  # fmt: skip
        began = time.process_time()
        model.fit(target, past_covariates=covariates)
        spent = time.process_time() - began
        return spent, model.trainer.global_step

    fit(1)
    found = {}
    for epochs in given["epochs"].tolist():
        runs = [fit(epochs) for _ in range(int(given["runs"]))]
        found[str(epochs)] = {"cpu_s": float(np.median([spent for spent, _ in runs])), "steps": runs[0][1]}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
