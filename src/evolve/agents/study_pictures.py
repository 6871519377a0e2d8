"""Which figure shows a study of hyperparameters? Its trials in the order they were made, what mattered, and where it looked."""

from __future__ import annotations

from evolve.agents.drawn import Drawn
from evolve.agents.plot_sources import Found, PlotSources
from evolve.charts.importance import tuning_importance_figure
from evolve.charts.kinds import PlotOptions
from evolve.charts.picture import Caption
from evolve.charts.tuning_history import TrialPoint, tuning_history_figure
from evolve.charts.tuning_slices import Slice, tuning_slices_figure
from evolve.memory.studies import Study
from evolve.tunings import TuningCard


def _points(found: Found, sources: PlotSources) -> tuple[TuningCard, Study, list[TrialPoint]]:
    card, study, trials = sources.study(found.ids[0])
    points = [
        TrialPoint(
            each.number,
            each.worth if each.state in ("complete", "pruned") else None,
            each.state == "pruned",
            each.params,
        )
        for each in trials
        if each.is_finished and (study.ends_at is None or each.number < study.ends_at)
    ]
    return card, study, points


def _study_caption(what: str, card: TuningCard, options: PlotOptions) -> Caption:
    source = (
        f"{card.data.source}, {card.symbol} {card.timeframe}, the first {card.train_bars:,} bars, to {card.train_last}; "
        f"study {card.study_id}, {card.sampler}, {card.cv_folds} folds"
    )
    return Caption(options.title or f"{what}: {card.model_type} on {card.symbol}", source, card.data.simulated)


def tuning_history(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    card, _, points = _points(found, sources)
    caption = _study_caption("Search", card, options)
    return Drawn(tuning_history_figure(points, caption, theme=options.theme), caption, found.said, (card.reason,))


def tuning_importance(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    card, _, _ = _points(found, sources)
    caption = _study_caption("What mattered", card, options)
    return Drawn(
        tuning_importance_figure(card.importance, caption, theme=options.theme), caption, found.said, (card.reason,)
    )


def tuning_slices(found: Found, options: PlotOptions, sources: PlotSources) -> Drawn:
    card, study, points = _points(found, sources)
    order = {name: place for place, (name, _) in enumerate(card.by_importance())}
    slices = [Slice(each.name, each.scale == "log", study.plan.defaults[each.name]) for each in study.plan.dimensions]
    slices.sort(key=lambda each: order.get(each.name, len(order)))
    caption = _study_caption("Where it looked", card, options)
    return Drawn(
        tuning_slices_figure(points, slices, caption, theme=options.theme), caption, found.said, (card.reason,)
    )
