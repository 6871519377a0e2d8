"""What does a picture cost: the first one, the next, five thousand candles, a whole report, and reading one back?

CPU seconds in fresh processes, medians over several; beside them what a user would draw the same with: mplfinance for candles, quantstats for
the report of a track record. Each in an environment of its own under `.bench/`, made on demand; one that cannot be installed or run is reported,
never left out. Reading needs the extra `images` (RapidOCR) in this environment.

    python bench/charts.py [RUNS] [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from report.page import ROOT, load, provenance, write_section

from evolve.agents.model_builder import BuildOrder, ModelBuilderAgent
from evolve.market.bars import Bars
from evolve.market.store import BarStore
from evolve.settings import Settings

PEERS = Path(__file__).resolve().parent / "peers"
ENVIRONMENTS = ROOT / ".bench"
BARS = 5_000
LIMIT_S = 300.0

# Ours, each in a new process: first from the import on, then again with everything loaded.
DRAW = """
import json, sys, time
began = time.process_time()
from evolve.agents.pictures import draw
from evolve.agents.plot_sources import PlotSources
from evolve.charts.kinds import PlotOptions
from evolve.charts.picture import save
from evolve.settings import Settings
from pathlib import Path
home, kind, source, shown = sys.argv[1:]
sources = PlotSources.from_settings(Settings.load(home=Path(home), log_dir=Path(home)))
options = PlotOptions(shown_bars=int(shown)) if int(shown) else PlotOptions()
spent = []
for place in range(4):
    found = sources.find(source)
    save(draw(kind, found, options, sources).figure, Path(home) / f"{kind}{place}.png")
    spent.append(time.process_time() - began)
    began = time.process_time()
print(json.dumps({"first": spent[0], "next": sorted(spent[1:])[1]}))
"""
REPORT = """
import json, sys, time
began = time.process_time()
from evolve.agents.plot_sources import PlotSources
from evolve.agents.report_page import report_on
from evolve.charts.report import report_html
from evolve.charts.kinds import PlotOptions
from evolve.settings import Settings
from pathlib import Path
home = sys.argv[1]
sources = PlotSources.from_settings(Settings.load(home=Path(home), log_dir=Path(home)))
report = report_on(sources.find("backtest_results"), PlotOptions(), sources)
html = report_html(report)
print(json.dumps({"first": time.process_time() - began, "charts": len(report.charts), "kib": len(html) // 1024}))
"""
READ = """
import json, sys, time
from pathlib import Path
began = time.process_time()
from evolve.charts.image_file import open_picture
from evolve.charts.read_image import read_chart
spent = []
for _ in range(3):
    picture = Path(sys.argv[1])
    read_chart(open_picture(str(picture), (picture.parent,)), "general", None)
    spent.append(time.process_time() - began)
    began = time.process_time()
print(json.dumps({"first": spent[0], "next": min(spent[1:])}))
"""


def made_bars() -> Bars:
    """Daily bars made for this benchmark; their source says so."""
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0003, 0.015, BARS)))
    opened = np.concatenate([[100.0], close[:-1]])
    return Bars(
        "BENCH", "1d", 1_000_000_000_000 + 86_400_000 * np.arange(BARS), opened, np.maximum(opened, close) * 1.004,
        np.minimum(opened, close) / 1.004, close, rng.uniform(1e6, 2e6, BARS), "made for a benchmark", 252.0,
    )  # fmt: skip


def prepare(home: Path) -> None:
    settings = Settings.load(home=home, log_dir=home)
    BarStore(home).save(made_bars())
    builder = ModelBuilderAgent.from_settings(settings)
    for model_type in ("ridge", "xgboost"):
        builder.build(BuildOrder(model_type, "AAPL", "1d"), request_id=model_type, progress=lambda *_: None)


def picture_of_a_chart(place: Path) -> Path:
    """1600 × 900 with dates below and values left, as matplotlib draws it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rng = np.random.default_rng(3)
    figure = Figure(figsize=(16, 9), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    days = np.datetime64("2015-01-01") + np.arange(1_500)
    axes.plot(days, 100 * np.exp(np.cumsum(rng.normal(0.0004, 0.012, 1_500))))
    axes.grid(True)
    figure.savefig(place / "chart.png")
    return place / "chart.png"


def ours(script: str, *arguments: str) -> dict[str, float]:
    """What a new process measured of itself. Raises CalledProcessError with its complaint."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True, timeout=LIMIT_S
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def peer(name: str, path: Path) -> dict[str, float]:
    """A peer's figures in its own environment. Raises CalledProcessError or OSError with why there are none."""
    environment = ENVIRONMENTS / f"charts-{name}"
    python = environment / "bin" / "python"
    if not python.exists():
        print(f"installing {name} into {environment.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        requirements = PEERS / f"charts_{name}.txt"
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True, timeout=600)
    done = subprocess.run(
        [str(python), str(PEERS / f"charts_{name}.py"), str(path)],
        check=True, capture_output=True, text=True, timeout=LIMIT_S, env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"},
    )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def complaint(error: subprocess.SubprocessError | OSError) -> str:
    return str(getattr(error, "stderr", "") or error).strip().splitlines()[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="?", type=int, default=3, help="processes of each (3)")
    parser.add_argument("--write", type=Path, help="the page whose section `charts` gets the table")
    options = parser.parse_args()
    before, failed = load(), {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        prepare(home)
        bars = made_bars()
        np.savez(
            home / "bars.npz",
            time=bars.time,
            open=bars.open,
            high=bars.high,
            low=bars.low,
            close=bars.close,
            volume=bars.volume,
        )
        picture = picture_of_a_chart(home)
        works = {
            "equity": lambda: ours(DRAW, folder, "equity_curve", "backtest_results", "0"),
            "candles": lambda: ours(DRAW, folder, "candlestick", "BENCH", str(BARS)),
            "report": lambda: ours(REPORT, folder),
            "read": lambda: ours(READ, str(picture)),
            "mplfinance": lambda: peer("mplfinance", home / "bars.npz"),
            "quantstats": lambda: peer("quantstats", home / "bars.npz"),
        }
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in works}
        for _ in range(options.runs):
            for name, work in works.items():
                try:
                    runs[name].append(work())
                except (subprocess.SubprocessError, OSError) as error:
                    failed[name] = complaint(error)

    def median(name: str, figure: str) -> float | None:
        values = [run[figure] for run in runs[name]]
        return statistics.median(values) if values else None

    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f} s"

    def ratio(peer_s: float | None, own_s: float | None) -> str:
        return "–" if peer_s is None or own_s is None else f"{peer_s / own_s:.1f}×"

    rows = [
        ("first PNG (equity curve), from starting Python on", "1.5 s", median("equity", "first"), "", None),
        ("the next PNG of the same model", "0.25 s", median("equity", "next"), "", None),
        (f"{BARS:,} candles with averages, RSI, volume: first", "", median("candles", "first"), "mplfinance", median("mplfinance", "first")),
        (f"{BARS:,} candles: the next", "0.6 s", median("candles", "next"), "mplfinance", median("mplfinance", "next")),
        ("a full report as one HTML page, from starting Python on", "5 s", median("report", "first"), "quantstats", median("quantstats", "first")),
        ("reading a picture of 1600 × 900: first, the recogniser's model loaded", "", median("read", "first"), "", None),
        ("reading a picture of 1600 × 900: the next", "2 s", median("read", "next"), "", None),
    ]  # fmt: skip
    lines = [
        f"{provenance()}; load {before} before, {load()} after; CPU seconds, medians of {options.runs} processes.",
        "",
        "| work | asked | evolve | peer | peer's | peer ÷ evolve |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {what} | {'≤ ' + asked if asked else ''} | {cell(own)} | {name} | {cell(other) if name else ''} | {ratio(other, own) if name else ''} |"
        for what, asked, own, name, other in rows
    ]
    lines += ["", *(f"{name} did not run: {why}" for name, why in failed.items())]
    text = "\n".join(lines).rstrip()
    print(text)
    if options.write:
        write_section(options.write, "charts", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
