"""NiceGUI showing an answer's candles, equity and table, as its documentation does it: `ui.plotly` and `ui.table`."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import plotly.graph_objects as plots
from nicegui import app, ui
from plotly.subplots import make_subplots

given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
series, rows = given["series"], given["rows"]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]


@ui.page("/")
def answer() -> None:
    candles = series["candles"]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True)
    figure.add_trace(
        plots.Candlestick(
            x=[at * 1000 for at in candles["time"]], open=candles["open"], high=candles["high"], low=candles["low"], close=candles["close"],
        ), row=1, col=1,
    )  # fmt: skip
    for line in series["lines"]:
        figure.add_trace(
            plots.Scatter(x=[at * 1000 for at in series["tested"]], y=line["equity"], name=line["name"]), row=2, col=1
        )
    figure.update_xaxes(type="date")
    names = ("sharpe", "total_return", "drawdown")
    ui.table(
        columns=[{"name": name, "label": name, "field": name} for name in ("name", *names)],
        rows=[
            {"name": row["name"], **{name: row["figures"].get(name, {}).get("value") for name in names}} for row in rows
        ],
    )
    ui.plotly(figure)


app.on_startup(lambda: print(f"http://127.0.0.1:{port}/", flush=True))
ui.run(host="127.0.0.1", port=port, show=False, reload=False, show_welcome_message=False)
