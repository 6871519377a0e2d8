// Prices with decisions and the forecast fan, equity beside baselines, drawdown: one time axis and one crosshair for all of it.
import { AreaSeries, CandlestickSeries, ColorType, createChart, createSeriesMarkers, CrosshairMode, HistogramSeries, LineSeries, LineStyle } from "lightweight-charts";
import { BandSeries } from "./band.js";

const DAY = 86400;
const FIRST_SHOWN = 260; // a year of days: candles can still be told apart

export async function drawAll() {
  await Promise.all([...document.querySelectorAll("[data-series], [data-curves]")].map(draw));
  performance.mark("evolve:drawn");
}

async function draw(place) {
  const note = place.querySelector("[data-note]");
  try {
    const drawn = place.dataset.series ? await fetched(place.dataset.series) : { curves: JSON.parse(document.getElementById(place.dataset.curves).textContent) };
    note?.remove();
    const chart = drawn.candles ? drawTested(place, drawn) : drawCurves(place, drawn.curves);
    document.addEventListener("evolve:theme", chart.repaint);
    if (drawn.simulated || drawn.curves?.some((curve) => curve.simulated)) place.append(invented());
    place.dataset.drawn = "1";
  } catch (error) {
    if (note) note.textContent = error.message;
    place.dataset.drawn = "failed";
  }
}

function invented() {
  const badge = document.createElement("span");
  badge.className = "badge sim";
  badge.textContent = "SIMULATED";
  return badge;
}

async function fetched(address) {
  let answer;
  try {
    answer = await fetch(address, { headers: { Accept: "application/json" } });
  } catch {
    throw new Error("The server did not answer; reload the page to draw the chart.");
  }
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail || told.title || "This chart cannot be drawn.");
  return told;
}

// --- colours come from the style sheet, so that both themes are written in one place ---

function ink() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    text: read("--muted"), grid: read("--grid"), line: read("--line"), accent: read("--accent"), up: read("--up"), down: read("--down"),
    band: read("--band"), band2: read("--band-inner"), volume: read("--volume"), lines: [1, 2, 3, 4, 5, 6].map((n) => read(`--line-${n}`)), baseline: read("--baseline"),
  };
}

function options(colours) {
  return {
    autoSize: true,
    layout: {
      background: { type: ColorType.Solid, color: "transparent" }, textColor: colours.text, fontSize: 11,
      fontFamily: getComputedStyle(document.body).fontFamily,
      // The library's own logo brings a style element, which the page's policy refuses: the page shows the logo itself, below the chart.
      attributionLogo: false,
      panes: { separatorColor: colours.line, separatorHoverColor: colours.grid, enableResize: true },
    },
    grid: { vertLines: { color: colours.grid }, horzLines: { color: colours.grid } },
    crosshair: { mode: CrosshairMode.Normal, vertLine: { color: colours.text, labelBackgroundColor: colours.text }, horzLine: { color: colours.text, labelBackgroundColor: colours.text } },
    rightPriceScale: { borderColor: colours.line },
    timeScale: { borderColor: colours.line, rightOffset: 3, minBarSpacing: 0.02 },
    localization: { locale: "en-GB" },
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
  };
}

// --- a tested model, or a symbol's bars ---

function drawTested(place, given) {
  let colours = ink();
  const chart = createChart(place, options(colours));
  const daily = !["1m", "5m", "15m", "30m", "1h", "4h"].includes(given.timeframe);
  chart.applyOptions({ timeScale: { timeVisible: !daily } });
  const { time, open, high, low, close, volume } = given.candles;

  const volumes = chart.addSeries(HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
  chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.85, bottom: 0 } });
  volumes.setData(time.flatMap((t, n) => (volume[n] === null ? [] : [{ time: t, value: volume[n] }])));

  const fanSeries = [];
  if (given.fan) {
    for (const band of given.fan.bands) {
      const series = chart.addCustomSeries(new BandSeries(), { lastValueVisible: false, priceLineVisible: false });
      series.setData(given.fan.time.map((t, n) => ({ time: t, low: band.low[n], high: band.high[n] })));
      fanSeries.push(series);
    }
  }
  const candles = chart.addSeries(CandlestickSeries, { borderVisible: false, priceLineVisible: false });
  candles.setData(time.map((t, n) => ({ time: t, open: open[n], high: high[n], low: low[n], close: close[n] })));
  const marks = createSeriesMarkers(candles, []);

  const curves = [];
  const drawdowns = [];
  for (const line of given.lines) {
    const model = line.kind === "model";
    const equity = chart.addSeries(LineSeries, { lineWidth: model ? 2 : 1, priceLineVisible: false, lastValueVisible: true, priceFormat: TIMES }, 1);
    equity.setData(given.tested.map((t, n) => ({ time: t, value: line.equity[n] })));
    curves.push({ name: line.name, kind: line.kind, series: equity });
    const fall = chart.addSeries(model ? AreaSeries : LineSeries, { lineWidth: model ? 2 : 1, priceLineVisible: false, lastValueVisible: false, priceFormat: PERCENT }, 2);
    fall.setData(given.tested.map((t, n) => ({ time: t, value: line.drawdown[n] })));
    drawdowns.push({ name: line.name, kind: line.kind, series: fall });
  }
  for (const curve of given.curves ?? []) {
    const series = chart.addSeries(LineSeries, { lineWidth: 1, lineStyle: LineStyle.Dotted, priceLineVisible: false, lastValueVisible: false, priceFormat: TIMES }, 1);
    series.setData(pointsOf(curve, time));
    curves.push({ name: curve.name, kind: "other", series });
  }
  const panes = chart.panes();
  if (panes.length > 1) {
    [5, 3, 2].forEach((share, n) => panes[n]?.setStretchFactor(share));
    // Growth by a factor looks the same wherever it happens.
    chart.priceScale("right", 1).applyOptions({ mode: 1, scaleMargins: { top: 0.22, bottom: 0.08 } });
    chart.priceScale("right", 2).applyOptions({ scaleMargins: { top: 0.25, bottom: 0.05 } });
  }
  chart.priceScale("right", 0).applyOptions({ scaleMargins: { top: 0.12, bottom: 0.18 } });

  const paint = () => {
    colours = ink();
    chart.applyOptions(options(colours));
    candles.applyOptions({ upColor: colours.up, downColor: colours.down, wickUpColor: colours.up, wickDownColor: colours.down });
    volumes.applyOptions({ color: colours.volume });
    fanSeries.forEach((series, n) => series.applyOptions({ color: n ? colours.band2 : colours.band }));
    marks.setMarkers(
      given.decisions.map(({ time: t, side }) => (side === "buy" ? { time: t, position: "belowBar", shape: "arrowUp", color: colours.up, size: 1 } : { time: t, position: "aboveBar", shape: "arrowDown", color: colours.down, size: 1 })),
    );
    let other = 0;
    for (const curve of curves) {
      curve.colour = curve.kind === "model" ? colours.accent : curve.kind === "baseline" ? colours.baseline : colours.lines[other++ % colours.lines.length];
      curve.series.applyOptions({ color: curve.colour });
    }
    drawdowns.forEach((fall) => {
      fall.colour = fall.kind === "model" ? colours.accent : colours.baseline;
      fall.series.applyOptions(fall.kind === "model" ? { lineColor: fall.colour, topColor: "transparent", bottomColor: colours.band, invertFilledArea: true } : { color: fall.colour });
    });
  };
  paint();

  const words = legends(place, chart, panes.length);
  const currency = given.currency ? ` ${given.currency}` : "";
  const at = new Map(time.map((t, n) => [t, n]));
  const fanAt = new Map((given.fan?.time ?? []).map((t, n) => [t, n]));
  const say = (moment, values) => {
    const t = moment ?? time[time.length - 1];
    const n = at.get(t);
    const parts = [{ text: dateOf(t, daily), strong: true }];
    if (n !== undefined) {
      const change = n ? close[n] / close[n - 1] - 1 : 0;
      parts.push({ text: `O ${price(open[n])}  H ${price(high[n])}  L ${price(low[n])}  C ${price(close[n])}${currency}` }, { text: percent(change, true), colour: change < 0 ? colours.down : colours.up });
    }
    const f = fanAt.get(t);
    if (f !== undefined) {
      const band = given.fan.bands[0];
      parts.push({ text: `${Math.round(band.level * 100)} % band ${price(band.low[f])} … ${price(band.high[f])}`, quiet: true });
    }
    words[0](parts);
    const value = (of) => {
      const read = values?.get(of.series) ?? (moment ? undefined : of.series.data().at(-1));
      return read?.value;
    };
    words[1]?.([{ text: "Equity", strong: true }, ...curves.map((of) => ({ text: of.name, mark: of.colour, value: value(of) === undefined ? "" : times(value(of)) }))]);
    words[2]?.([{ text: "Drawdown", strong: true }, ...drawdowns.map((of) => ({ text: of.name, mark: of.colour, value: value(of) === undefined ? "" : percent(value(of)) }))]);
  };
  chart.subscribeCrosshairMove((moved) => say(moved.time, moved.seriesData));
  const repaint = () => {
    paint();
    say();
  };
  const ends = time.length + (given.fan?.horizon_bars ?? 0);
  const showLast = (bars) => (bars ? chart.timeScale().setVisibleLogicalRange({ from: ends - bars, to: ends + 3 }) : chart.timeScale().fitContent());
  ranges(place, given.timeframe, time, showLast);
  moveByKeys(place, chart);
  showLast(place.clientWidth < 520 ? FIRST_SHOWN / 3 : FIRST_SHOWN);
  say();
  return { repaint };
}

// Thinned curves carry dates; a date is drawn at its bar.
function pointsOf(curve, time) {
  const bars = new Map(time.map((t) => [dateOf(t, true), t]));
  const points = new Map();
  curve.dates.forEach((date, n) => {
    const t = bars.get(date.slice(0, 10));
    if (t !== undefined) points.set(t, curve.equity[n]);
  });
  return [...points].sort(([a], [b]) => a - b).map(([t, value]) => ({ time: t, value }));
}

// --- curves alone: strategies, comparisons of models on other bars ---

function drawCurves(place, given) {
  const chart = createChart(place, options(ink()));
  const lines = given.map((curve) => {
    const series = chart.addSeries(LineSeries, { lineWidth: curve.main ? 2 : 1, priceLineVisible: false, priceFormat: TIMES });
    const points = stamped(curve);
    series.setData(points);
    const fall = chart.addSeries(LineSeries, { lineWidth: curve.main ? 2 : 1, priceLineVisible: false, lastValueVisible: false, priceFormat: PERCENT }, 1);
    let peak = -Infinity;
    fall.setData(points.map(({ time, value }) => ((peak = Math.max(peak, value)), { time, value: value / peak - 1 })));
    return { ...curve, series, fall };
  });
  chart.panes()[0].setStretchFactor(3);
  chart.panes()[1].setStretchFactor(1.4);
  chart.priceScale("right", 0).applyOptions({ mode: 1, scaleMargins: { top: 0.16, bottom: 0.06 } });
  chart.priceScale("right", 1).applyOptions({ scaleMargins: { top: 0.28, bottom: 0.05 } });
  const paint = () => {
    const colours = ink();
    chart.applyOptions(options(colours));
    let other = 0;
    for (const line of lines) {
      line.colour = line.main ? colours.accent : line.name.startsWith("buy") ? colours.baseline : colours.lines[other++ % colours.lines.length];
      line.series.applyOptions({ color: line.colour });
      line.fall.applyOptions({ color: line.colour });
    }
  };
  paint();
  const words = legends(place, chart, 2);
  const say = (moment, values) => {
    const value = (series) => (values?.get(series) ?? (moment ? undefined : series.data().at(-1)))?.value;
    const when = moment ? [{ text: dateOf(moment, true), strong: true }] : [{ text: "Growth of 1", strong: true }];
    words[0]([...when, ...lines.map((line) => ({ text: line.name, mark: line.colour, value: value(line.series) === undefined ? "" : times(value(line.series)) }))]);
    words[1]([{ text: "Drawdown", strong: true }, ...lines.filter((line) => line.main || lines.length < 4).map((line) => ({ text: line.name, mark: line.colour, value: value(line.fall) === undefined ? "" : percent(value(line.fall)) }))]);
  };
  chart.subscribeCrosshairMove((moved) => say(moved.time, moved.seriesData));
  chart.timeScale().fitContent();
  moveByKeys(place, chart);
  say();
  return { repaint: () => (paint(), say()) };
}

function stamped(curve) {
  const points = new Map();
  curve.dates.forEach((date, n) => points.set(Math.floor(Date.parse(date.length > 10 ? date : `${date}T00:00:00Z`) / 1000), curve.equity[n]));
  return [...points].filter(([t]) => Number.isFinite(t)).sort(([a], [b]) => a - b).map(([t, value]) => ({ time: t, value }));
}

// --- what stands around a chart ---

// One line of words over each pane; it follows the crosshair.
function legends(place, chart, count) {
  const boxes = Array.from({ length: count }, () => {
    const box = document.createElement("div");
    box.className = "legend";
    place.append(box);
    return box;
  });
  const put = () => {
    let top = 0;
    boxes.forEach((box, n) => {
      box.style.top = `${top + 4}px`;
      top += chart.paneSize(n).height + 1;
    });
  };
  new ResizeObserver(() => requestAnimationFrame(put)).observe(place);
  requestAnimationFrame(put);
  return boxes.map((box) => (parts) => {
    box.replaceChildren(
      ...parts.map((part) => {
        const span = document.createElement("span");
        if (part.mark) {
          const mark = document.createElement("i");
          mark.style.background = part.mark;
          span.append(mark);
        }
        span.append(part.text);
        if (part.value !== undefined) {
          const value = document.createElement("b");
          value.textContent = part.value;
          span.append(" ", value);
        }
        if (part.strong) span.className = "strong";
        if (part.quiet) span.className = "quiet";
        if (part.colour) span.style.color = part.colour;
        return span;
      }),
    );
  });
}

function ranges(place, timeframe, time, showLast) {
  const bar = place.parentElement.querySelector("[data-ranges]");
  if (!bar) return;
  const years = (time[time.length - 1] - time[0]) / (365.25 * DAY);
  const perYear = time.length / Math.max(years, 1e-9);
  for (const [text, bars] of [["3M", perYear / 4], ["1Y", perYear], ["5Y", 5 * perYear], ["All", 0]]) {
    if (bars && bars > time.length) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => showLast(bars));
    bar.append(button);
  }
}

// Arrows move, + and − zoom, Home shows all: what the mouse can do the keyboard can.
function moveByKeys(place, chart) {
  place.tabIndex = 0;
  place.addEventListener("keydown", (event) => {
    const scale = chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    if (!range) return;
    const width = range.to - range.from;
    const step = width / 10;
    const moves = {
      ArrowLeft: [-step, -step], ArrowRight: [step, step], "+": [step, -step], "=": [step, -step], "-": [-step, step],
    };
    if (event.key === "Home") scale.fitContent();
    else if (moves[event.key]) scale.setVisibleLogicalRange({ from: range.from + moves[event.key][0], to: range.to + moves[event.key][1] });
    else return;
    event.preventDefault();
  });
}

const times = (value) => `×${value >= 100 ? value.toFixed(0) : value.toFixed(2)}`;
const percent = (value, signed = false) => `${signed && value > 0 ? "+" : ""}${(100 * value).toFixed(1).replace("-", "−")} %`;
const price = (value) => value.toLocaleString("en-GB", { maximumFractionDigits: value < 10 ? 4 : 2, minimumFractionDigits: 2 });
const dateOf = (t, daily) => new Date(t * 1000).toISOString().slice(0, daily ? 10 : 16).replace("T", " ");
const TIMES = { type: "custom", formatter: times, minMove: 0.0001 };
const PERCENT = { type: "custom", formatter: (value) => percent(value), minMove: 0.0001 };
