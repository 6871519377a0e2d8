"""The training of `bench/models.py` by neuralforecast: its LSTM over the same windows, history beside the target, as documented.

Its length is told in steps. Prints {epochs: {cpu_s, steps}} as JSON, for two lengths of training.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MSE
from neuralforecast.models import LSTM

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
    features = given["features"].astype(np.float32)
    history = [f"x{number}" for number in range(1, features.shape[1])]
    frame = pd.DataFrame(features, columns=["y", *history])
    frame["unique_id"], frame["ds"] = "bars", np.arange(len(frame))
    steps_a_pass = -(-(len(features) - window) // batch)

    def fit(steps: int) -> float:
        model = LSTM(
            h=1, input_size=window, encoder_hidden_size=hidden, encoder_n_layers=1, decoder_layers=1, decoder_hidden_size=hidden,
            hist_exog_list=history, loss=MSE(), scaler_type="identity", max_steps=steps, learning_rate=rate, num_lr_decays=0,
            optimizer=torch.optim.AdamW, optimizer_kwargs={"weight_decay": decay}, windows_batch_size=batch, batch_size=1,
            random_seed=1, gradient_clip_val=1.0, **QUIET,
        )  # fmt: skip
        forecaster = NeuralForecast(models=[model], freq=1)
        began = time.process_time()
        forecaster.fit(frame)
        return time.process_time() - began

    fit(1)
    found = {}
    for epochs in given["epochs"].tolist():
        steps = epochs * steps_a_pass
        spent = [fit(steps) for _ in range(int(given["runs"]))]
        found[str(epochs)] = {"cpu_s": float(np.median(spent)), "steps": steps}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
