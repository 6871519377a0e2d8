"""How near is each model in charge to an alarm of drift? The watch board, or the models named, as one picture."""

from __future__ import annotations

from evolve.agents.drawn import Drawn
from evolve.agents.plot_sources import Found, PlotSources
from evolve.charts.drift_board import MAX_ROWS, BoardLine, Measure, drift_board_figure
from evolve.charts.kinds import PlotOptions
from evolve.charts.picture import Caption
from evolve.errors import DataUnavailable
from evolve.evidence import Evidence
from evolve.updates import BoardRow, DriftCard

WATCH = "evolve watch add MODEL"
STATES = {"steady": "steady", "drift": "drift", "too_early": "too early"}


def drift_board(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    """Raises DataUnavailable, naming the command, where nobody is in charge of what was asked for."""
    rows = sources.board(found)
    if not rows:
        of = f" of {', '.join(found.ids)}" if found.ids else ""
        raise DataUnavailable(f"no model is in charge{of} yet; `{WATCH}` puts one there", command=WATCH)
    lines = [_line(row) for row in rows]
    to = sorted({figure.as_of for row in rows if row.drift for figure in row.drift.figures})
    places = sorted({figure.source for row in rows if row.drift for figure in row.drift.figures})
    source = f"{', '.join(places) or 'stored forecasts and bars'}; outcomes since each model was trained"
    source += f", to {to[-1]}" if to else ""
    caption = Caption(options.title or f"Drift: {found.said}", source, any(row.simulated for row in rows))
    notes = [f"{row.symbol} {row.timeframe}: {row.drift.reason if row.drift else row.note}" for row in rows if row.drift or row.note]  # fmt: skip
    if len(lines) > MAX_ROWS:
        notes.append(f"{len(lines) - MAX_ROWS} more are not shown; name their symbols to see them")
    return Drawn(drift_board_figure(lines, caption, theme=options.theme), caption, found.said, tuple(notes))


def _line(row: BoardRow) -> BoardLine:
    name, under = f"{row.symbol} {row.timeframe}", row.champion or "nobody in charge"
    if row.drift is None:
        return BoardLine(name, under, "not judged", False, "see the notes" if row.note else "")
    drift = row.drift
    about = ", ".join(drift.alarms) if drift.alarms else f"{drift.live_bars:,} outcomes live"
    return BoardLine(name, under, STATES[drift.state], drift.state == "drift", about, measures_of(drift))


def measures_of(drift: DriftCard) -> tuple[Measure, ...]:
    """The statistics that can raise an alarm, over their limits. Empty where it is too early for any."""
    # Here, not at the top: the tests of drift bring scipy.special, which no other chart needs.
    from evolve.agents.drift_watch import COVERAGE_LIMIT, P_LIMIT, STABILITY_LIMIT, WINDOW_BARS

    own = {figure.name: figure for figure in drift.figures if figure.of == drift.model_id}
    found = [
        Measure(name, size / limit, p < P_LIMIT)
        for name, limit in STABILITY_LIMIT.items()
        if (size := _number(own.get(f"{name}_drift_psi"))) is not None
        and (p := _number(own.get(f"{name}_drift_p"))) is not None
    ]
    held = _number(own.get("live_coverage"))
    if held is not None:  # outcomes outside of the band, over as many as raise the alarm once the window is full
        found.append(Measure("coverage", (1 - held) / (1 - COVERAGE_LIMIT), drift.live_bars >= WINDOW_BARS))
    return tuple(found)


def _number(figure: Evidence | None) -> float | None:
    return float(figure.value) if figure is not None and isinstance(figure.value, int | float) else None
