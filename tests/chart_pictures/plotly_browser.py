"""The same scenes as plotly itself draws them: its own templates and script, in a real browser."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from chart_pictures.drawn import Scene, candles_of, times_of, values_of


def drawn_by_plotly(scenes: Sequence[Scene], place: Path, browser: str) -> Iterator[bytes]:
    """A picture of each scene, PNG or JPEG as it asks. browser: the program. Skips where plotly or playwright is missing."""
    graphs = pytest.importorskip("plotly.graph_objects", reason="needs the package plotly; `make prove` installs it")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    from PIL import Image

    with (
        playwright.sync_playwright() as program,
        program.chromium.launch(executable_path=browser, args=["--no-sandbox"]) as chromium,
    ):
        for scene in scenes:
            page = chromium.new_page(viewport={"width": scene.size[0], "height": scene.size[1]})
            path = place / "plotly.html"
            _figure(graphs, scene).write_html(path, include_plotlyjs=True, config={"displayModeBar": False})
            page.goto(path.as_uri())
            page.locator(".plot-container .xtick").first.wait_for()
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            page.close()
            buffer = io.BytesIO()
            image.save(buffer, **({"format": "JPEG", "quality": scene.quality} if scene.quality else {"format": "PNG"}))
            yield buffer.getvalue()


def _figure(graphs, scene: Scene):
    dates = (times_of(scene) * 1000).astype("datetime64[ms]")
    if scene.kind == "line":
        trace = graphs.Scatter(x=dates, y=values_of(scene), mode="lines")
    else:
        open_, high, low, close = candles_of(scene)
        trace = graphs.Candlestick(x=dates, open=open_, high=high, low=low, close=close)
    figure = graphs.Figure(trace)
    figure.update_layout(
        template="plotly_dark" if scene.dark else "plotly",
        width=scene.size[0],
        height=scene.size[1],
        title="NVDA" if scene.seed % 2 else "Portfolio value",
        xaxis_rangeslider_visible=False,
    )
    return figure
