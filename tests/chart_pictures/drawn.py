"""Pictures of charts whose values are known: three looks, several sizes, themes and JPEG qualities.

`matplotlib` and `plotly` are drawn with matplotlib, the second in plotly's template colours; `trading` is drawn with Pillow as trading
pages do it: prices on the right, last price as a dashed line with a box, no frame.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

DAY_S = 86_400
START_S = datetime(2019, 3, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class Scene:
    look: str  # matplotlib | plotly | trading
    kind: str  # line | candlestick
    dark: bool
    size: tuple[int, int]
    quality: int | None  # of JPEG; None: PNG
    seed: int
    bars: int
    ink: str = ""  # the curve's own shade, where it has no hue
    below: str = ""  # drawdown | volume: a second panel

    @property
    def name(self) -> str:
        ending = f"jpg{self.quality}" if self.quality else "png"
        return f"{self.look}-{self.kind}-{'dark' if self.dark else 'light'}-{self.size[0]}x{self.size[1]}-{ending}-{self.seed}{self.ink}{self.below}"


def values_of(scene: Scene) -> np.ndarray:
    """Closes, shape (bars,): a random walk of 20 % volatility a year that starts between 20 and 400."""
    random = np.random.default_rng(scene.seed)
    steps = random.normal(0.0003, 0.0126, scene.bars)
    return float(random.uniform(20, 400)) * np.exp(np.cumsum(steps) - steps[0])


def times_of(scene: Scene) -> np.ndarray:
    return START_S + DAY_S * np.arange(scene.bars)


def candles_of(scene: Scene) -> tuple[np.ndarray, ...]:
    close = values_of(scene)
    random = np.random.default_rng(scene.seed + 1)
    open_ = np.concatenate([[close[0] * 0.995], close[:-1]])
    wick = np.abs(random.normal(0, 0.006, (2, scene.bars))) * close
    return open_, np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1], close


def picture_of(scene: Scene) -> bytes:
    image = _with_pillow(scene) if scene.look == "trading" else _with_matplotlib(scene)
    buffer = io.BytesIO()
    if scene.quality:
        image.save(buffer, "JPEG", quality=scene.quality)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def _with_matplotlib(scene: Scene):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    plotly = scene.look == "plotly"
    paper, ground, ink, grid = {
        (False, False): ("#ffffff", "#ffffff", "#000000", "#b0b0b0"),
        (False, True): ("#000000", "#000000", "#ffffff", "#444444"),
        (True, False): ("#ffffff", "#e5ecf6", "#2a3f5f", "#ffffff"),
        (True, True): ("#111111", "#111111", "#f2f5fa", "#283442"),
    }[plotly, scene.dark]
    line = scene.ink or ("#636efa" if plotly else "#1f77b4")
    figure = Figure(figsize=(scene.size[0] / 100, scene.size[1] / 100), dpi=100, facecolor=paper)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.11, 0.38, 0.84, 0.51) if scene.below else (0.11, 0.12, 0.84, 0.77))
    panels = [axes]
    if scene.below:
        panels.append(figure.add_axes((0.11, 0.12, 0.84, 0.21), sharex=axes))
        axes.tick_params(labelbottom=False)
    for panel in panels:
        panel.set_facecolor(ground)
        if plotly or scene.seed % 2 == 0:
            panel.grid(True, color=grid, linewidth=0.8)
        panel.set_axisbelow(True)
        panel.tick_params(colors=ink, length=0 if plotly else 3.5, labelsize=10)
        for spine in panel.spines.values():
            spine.set_color(ink)
            spine.set_visible(not plotly)
    dates = (times_of(scene) * 1000).astype("datetime64[ms]")
    if scene.below:
        _draw_below(panels[1], scene, dates, line)
    if scene.kind == "line":
        axes.plot(dates, values_of(scene), color=line, linewidth=2 if plotly else 1.5)
    else:
        open_, high, low, close = candles_of(scene)
        for rose, colour in ((True, "#3d9970" if plotly else "#2ca02c"), (False, "#ff4136" if plotly else "#d62728")):
            at = np.flatnonzero((close >= open_) == rose)
            axes.vlines(dates[at], low[at], high[at], color=colour, linewidth=1.0)
            axes.bar(dates[at], np.abs(close - open_)[at], bottom=np.minimum(open_, close)[at], width=0.7, color=colour)
    axes.set_title("NVDA" if scene.seed % 2 else "Portfolio value", color=ink)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3].copy())


def drawdown_of(scene: Scene) -> np.ndarray:
    """Percent below the highest close so far, shape (bars,)."""
    close = values_of(scene)
    return 100 * (close / np.maximum.accumulate(close) - 1)


def _draw_below(axes, scene: Scene, dates, line: str) -> None:
    from matplotlib.ticker import FuncFormatter

    if scene.below == "drawdown":
        axes.plot(dates, drawdown_of(scene), color=line, linewidth=1.2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%".replace("-", "−")))
    else:
        volume = np.random.default_rng(scene.seed + 2).uniform(1e6, 4e6, scene.bars)
        axes.bar(dates, volume / 1e6, width=0.7, color="#9aa4b2")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}M"))


def _with_pillow(scene: Scene):
    """Drawn four times as large and made smaller, so that edges are smooth."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    scale = 4
    width, height = (scale * side for side in scene.size)
    ground, grid, ink = ("#131722", "#1e222d", "#b2b5be") if scene.dark else ("#ffffff", "#f0f3fa", "#131722")
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 12 * scale)
    right, bottom = width - 70 * scale, height - 28 * scale
    open_, high, low, close = candles_of(scene)
    spread = (low, high) if scene.kind == "candlestick" else (close, close)
    lowest, highest = float(spread[0].min()), float(spread[1].max())
    margin = 0.08 * (highest - lowest)
    lowest, highest = lowest - margin, highest + margin

    def row(value):
        return bottom * (highest - value) / (highest - lowest)

    def column(bar):
        return 10 * scale + (right - 20 * scale) * bar / (scene.bars - 1)

    raw = (highest - lowest) / (scene.size[1] / 70)
    step = min(
        (base * 10.0**power for power in range(-3, 5) for base in (1, 2, 2.5, 5)), key=lambda each: abs(each - raw)
    )
    digits = 2 if step < 1 or step % 1 else 0
    for number in np.arange(np.ceil(lowest / step), np.floor(highest / step) + 1):
        y = row(number * step)
        draw.line((0, y, right, y), fill=grid, width=scale)
        draw.text((right + 8 * scale, y), f"{number * step:,.{digits}f}", fill=ink, font=font, anchor="lm")
    seen = ""
    for bar, stamp in enumerate(times_of(scene)):
        moment = datetime.fromtimestamp(float(stamp), UTC)
        label = str(moment.year) if scene.bars > 500 else moment.strftime("%Y-%m")
        if label != seen and seen and (scene.bars > 500 or moment.month % 2 == 1):
            draw.line((column(bar), 0, column(bar), bottom), fill=grid, width=scale)
            draw.text((column(bar), bottom + 14 * scale), label, fill=ink, font=font, anchor="mm")
        seen = label
    if scene.kind == "line":
        points = [(column(bar), row(value)) for bar, value in enumerate(close)]
        draw.line(points, fill="#2962ff", width=2 * scale, joint="curve")
        y = row(close[-1])
        for x in range(0, int(right), 8 * scale):
            draw.line((x, y, x + 3 * scale, y), fill="#2962ff", width=scale)
        draw.rectangle((right, y - 9 * scale, width, y + 9 * scale), fill="#2962ff")
        draw.text((right + 8 * scale, y), f"{close[-1]:,.2f}", fill="#ffffff", font=font, anchor="lm")
    else:
        half = max(1.0, 0.35 * (column(1) - column(0)))
        for bar in range(scene.bars):
            colour = "#26a69a" if close[bar] >= open_[bar] else "#ef5350"
            x = column(bar)
            draw.rectangle((x - scale / 2, row(high[bar]), x + scale / 2, row(low[bar])), fill=colour)
            ends = sorted((row(open_[bar]), row(close[bar])))
            draw.rectangle((x - half, ends[0], x + half, max(ends[1], ends[0] + scale)), fill=colour)
    return image.resize(scene.size, Image.Resampling.LANCZOS)


SIZES = ((900, 500), (1200, 700), (1600, 900), (720, 420))
QUALITIES = (None, 92, 80, 65)


def scenes(count: int) -> list[Scene]:
    """`count` scenes in which looks, kinds, themes, sizes and qualities all meet each other."""
    found = []
    for number in range(count):
        look = ("matplotlib", "plotly", "trading")[number % 3]
        kind = "candlestick" if number % 5 == 4 else "line"
        size, quality = SIZES[(number // 3) % 4], QUALITIES[(number // 2) % 4]
        bars = 90 if kind == "candlestick" else (250, 900, 1500)[(number // 4) % 3]
        found.append(Scene(look, kind, bool((number // 6) % 2), size, quality, 100 + number, bars))
    return found


def scenes_in_ink(count: int) -> list[Scene]:
    """Lines without a hue, black and grey on light and white and grey on dark, alone and above a second panel."""
    found = []
    for number in range(count):
        dark = bool(number % 2)
        ink = (("#000000", "#707070"), ("#ffffff", "#a0a0a0"))[dark][(number // 2) % 2]
        below = ("", "drawdown", "volume")[number % 3]
        size, quality = SIZES[(number // 2) % 4], QUALITIES[(number // 3) % 4]
        bars = (250, 900, 1500)[(number // 4) % 3]
        look = "plotly" if number % 4 == 3 else "matplotlib"
        found.append(Scene(look, "line", dark, size, quality, 300 + number, bars, ink, below))
    return found


def scenes_with_panels(count: int) -> list[Scene]:
    """Coloured lines and candles above a panel of drawdown or volume."""
    found = []
    for number in range(count):
        kind = "candlestick" if number % 3 == 2 else "line"
        below = "volume" if kind == "candlestick" or number % 2 else "drawdown"
        size, quality = SIZES[(number // 2) % 4], QUALITIES[(number // 3) % 4]
        bars = 90 if kind == "candlestick" else (250, 900, 1500)[(number // 4) % 3]
        look = ("matplotlib", "plotly")[number % 2]
        found.append(Scene(look, kind, bool((number // 3) % 2), size, quality, 500 + number, bars, "", below))
    return found
