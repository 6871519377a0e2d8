"""How does a committee of networks answer one row in a twentieth of a millisecond? As one graph, run by ONNX Runtime.

torch spends a quarter of a millisecond on starting each network for one row; the graph starts once for all. It is made from the
restored networks, so from their safetensors weights, and kept in memory only: what is stored stays one format, without code.
Measured on four members, one row: LSTM 0.06 ms against 0.85, TCN 0.06 against 0.79, transformer 0.19 against 1.10. For a
thousand rows the two are alike, and making the graph takes 0.1 to 0.3 s: walk-forward tests stay with torch.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evolve.errors import MissingExtra
from evolve.forecasting.training import PREDICTION_ROWS
from evolve.market.bars import Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET = 17  # the first with layer normalisation as one step; read by ONNX Runtime since 1.12
PACKAGES = ("onnx", "onnxruntime")


class Graph:
    """The mean forecast of several networks, in single precision as in torch."""

    def __init__(self, onnx: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread: starting others costs more than a row, and sums stay the same on every machine.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])

    @classmethod
    def of(cls, networks: Sequence[nn.Module], *, inputs: int, window_bars: int) -> Graph:
        """networks: (rows, window_bars, inputs) → (rows,) each. Raises MissingExtra without ONNX Runtime."""
        require_onnx()
        return cls(exported(networks, inputs=inputs, window_bars=window_bars))

    def forecast(self, table: Floats) -> Floats:
        """shape (rows, window, features) → (rows,)."""
        rows = table.astype(np.float32)
        parts = [rows[first : first + PREDICTION_ROWS] for first in range(0, len(rows), PREDICTION_ROWS)]
        found = [self._session.run(None, {"table": part})[0] for part in parts]
        return np.concatenate(found).astype(np.float64)


def require_onnx() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(
            f"compiling a network needs {' and '.join(missing)}: pip install 'evolve-trading[onnx]'; without it the model forecasts with torch",
            extra="onnx",
        )


def exported(networks: Sequence[nn.Module], *, inputs: int, window_bars: int) -> bytes:
    """The networks' mean as an ONNX model, any number of rows."""
    import torch
    from torch import nn

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.networks = nn.ModuleList(networks)

        def forward(self, table: Tensor) -> Tensor:
            return torch.stack([network(table) for network in self.networks]).mean(dim=0)

    written: Any = io.BytesIO()  # which torch takes, whatever its annotations say
    with warnings.catch_warnings():
        # The tracing exporter is called old; its successor needs another package and ten times as long for the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Mean().eval(),
            (torch.zeros(2, window_bars, inputs),),
            written,
            dynamo=False,
            opset_version=OPSET,
            input_names=["table"],
            output_names=["forecast"],
            dynamic_axes={"table": {0: "rows"}, "forecast": {0: "rows"}},
        )
    graph: bytes = written.getvalue()
    return graph
