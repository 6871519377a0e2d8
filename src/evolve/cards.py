"""What is known about a model, an evaluation, a comparison? Plain values that replies, registry, charts and pages share.

All are frozen dataclasses that survive JSON; every figure in them is an `Evidence`. Times are ISO 8601, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from evolve.evidence import Evidence
from evolve.showing import Shown

Verdict = Literal["edge", "no_edge", "insufficient_data"]
DataStatus = Literal["current", "stale", "simulated"]


@dataclass(frozen=True, slots=True)
class DataCard:
    """Which bars went in. fingerprint: sha256 over their content; first/last: ISO dates; notes: what a reader must know."""

    symbol: str
    timeframe: str
    source: str
    fingerprint: str
    bars: int
    first: str
    last: str
    simulated: bool
    status: DataStatus
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trade costs, in basis points of traded notional, per leg."""

    fee_bps: float
    slippage_bps: float
    borrow_bps_per_year: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that determines a model, so that it can be built again bit for bit on one machine and lock."""

    model_type: str
    symbol: str
    timeframe: str
    features: tuple[str, ...]
    hyperparameters: dict[str, Any]
    horizon_bars: int
    seed: int
    folds: int
    embargo_bars: int
    first_train_bars: int
    period_days: int | None = None


@dataclass(frozen=True, slots=True)
class ModelCard(Shown):
    """A trained model: what it is, on which data, how it did out of sample, and what it expects after the last bar (`outlook`).

    libraries: what computed it, by name and version; others may give other last digits.
    hyperparameters_from: `caller`, `defaults` or `study ID`; empty on cards of versions that did not say.
    """

    model_id: str
    recipe: Recipe
    data: DataCard
    created_at: str
    code_version: str
    weights_sha256: str
    metrics: tuple[Evidence, ...] = ()
    parent: str | None = None
    notes: tuple[str, ...] = ()
    outlook: tuple[Evidence, ...] = ()
    libraries: tuple[str, ...] = ()
    hyperparameters_from: str = ""


AliasName = Literal["champion", "challenger"]


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias of a symbol and timeframe went from one model to another; None: it was free, or was set free. at: ISO 8601, UTC."""

    symbol: str
    timeframe: str
    alias: AliasName
    model_id: str | None
    previous: str | None
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Curve:
    """An equity curve for drawing: growth of 1, one value per date; thinned to a few hundred points."""

    name: str
    dates: tuple[str, ...]
    equity: tuple[float, ...]
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class TrustCard(Shown):
    """Why (not) to believe an evaluation. trials: distinct recipes ever tried on this symbol, which the gate deflates by."""

    verdict: Verdict
    reason: str
    data: DataCard
    costs: Costs
    folds: int
    out_of_sample_bars: int
    trials: int
    ledger_position: int
    baselines: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()
    caveats: tuple[str, ...] = ()
    reproduce: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationCard(Shown):
    """One model on one stretch of bars, out of sample and net of costs. overall_score in [0, 1]: see docs/evaluation.md."""

    evaluation_id: str
    model_id: str
    symbol: str
    timeframe: str
    period: str
    overall_score: float | None
    metrics: dict[str, Evidence]
    in_period: dict[str, Evidence]
    trust: TrustCard
    created_at: str
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True, slots=True)
class RankedRow:
    """One line of a comparison: a model or a baseline, with its figures by name."""

    rank: int
    name: str
    kind: Literal["model", "baseline"]
    model_id: str | None
    figures: dict[str, Evidence]


@dataclass(frozen=True, slots=True)
class Winner:
    model_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ComparisonCard(Shown):
    """Models and baselines side by side on the same bars and costs. winner: None unless one earned it."""

    symbol: str
    timeframe: str
    period: str
    winner: Winner | None
    verdict: Verdict
    reason: str
    rows: tuple[RankedRow, ...]
    trust: TrustCard
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True, slots=True)
class SlotCard:
    """One slot of a parsed question. origin: stated by the user, inherited, default or inferred."""

    value: str | int | None
    origin: Literal["stated", "inherited", "default", "inferred"]
    text: str = ""


@dataclass(frozen=True, slots=True)
class LanguageModelCard:
    """What a language model added to an answer. why: why it added nothing, so that the offline text stands; view: its opinion of
    the evidence, and agreement the share of its samples that had it; replayed: it said so earlier and was not asked now."""

    used: bool
    by: str = ""
    why: str = ""
    view: str | None = None
    agreement: Evidence | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class AnswerCard(Shown):
    """What a question got: everything a terminal, page or program needs to show it. figures: all of it, by evidence id."""

    answer_id: str
    query: str
    intent: str
    headline: str
    verdict: Verdict | None
    data_status: DataStatus | None
    slots: dict[str, SlotCard]
    rows: tuple[RankedRow, ...]
    trust: TrustCard | None
    figures: tuple[Evidence, ...]
    commentary: tuple[str, ...]
    curves: tuple[Curve, ...]
    disclaimer: str
    reproduce: str
    recipe: dict[str, Any] = field(default_factory=dict)
    missing: tuple[dict[str, str], ...] = ()
    plot: str | None = None
    created_at: str = ""
    language_model: LanguageModelCard | None = None


@dataclass(frozen=True, slots=True)
class ReadyRequest:
    """A request that can be sent as it stands."""

    service: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditCard:
    """Does a model know what it cannot know? cuts: bars behind which the future was changed; runs: how often it was run; kinds: how
    the future was changed; tolerance: relative difference that counts as rounding.

    model_id: of a program, its name. handed: what it was given to decide with: a fitted model and a program that takes all bars at
    once are tried with changed futures; a program that is handed one bar after the other has no future to see, and is run again.
    figures: its warm-up, and its Sharpe ratio as it is and when it acts one bar later.
    """

    model_id: str
    symbol: str
    timeframe: str
    passed: bool
    reason: str
    bars: int
    cuts: int
    runs: int
    kinds: tuple[str, ...]
    tolerance: float
    handed: Literal["model", "all bars at once", "bar by bar"] = "model"
    figures: tuple[Evidence, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Routing:
    """intent: one of the eleven; target_agent: a service's name, or null; parser: what understood the sentence.

    unusable: what was named but has no possible value, as a sentence; such a prompt has no request.
    """

    intent: str
    confidence: float
    target_agent: str | None
    request: ReadyRequest | None
    arguments: dict[str, Any]
    slots: dict[str, SlotCard]
    reasons: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    question: str | None = None
    parser: str = "grammar"
    unusable: str | None = None


@dataclass(frozen=True, slots=True)
class DetectedIntent:
    intent: str
    confidence: float
    reasons: tuple[str, ...] = ()
    parser: str = "grammar"


@dataclass(frozen=True, slots=True)
class ParsedArguments:
    arguments: dict[str, Any]
    slots: dict[str, SlotCard]
    parser: str = "grammar"


@dataclass(frozen=True, slots=True)
class RoutedPrompt:
    at: str
    user_prompt: str
    intent: str
    target_agent: str | None
    confidence: float = 0.0
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedIntent:
    """intent: one of the four of the specification; detail: the finer one behind `general_query`. Unnamed slots are null."""

    intent: str
    symbol: str | None
    symbols: tuple[str, ...]
    timeframe: str | None
    period: str | None
    model_type: str | None
    side: str | None
    confidence: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class QueryResult(Shown):
    """status "error": the question cannot be carried out; `error` and `suggestions` say what can. results.action names
    what was done, results.answer is the answer's card."""

    query: str
    status: Literal["success", "error"]
    timestamp: float
    parsed_intent: ParsedIntent | None = None
    results: dict[str, Any] = field(default_factory=dict)
    gpt_commentary: str = ""
    answer: AnswerCard | None = None
    error: str | None = None
    code: str | None = None
    suggestions: tuple[str, ...] = ()
    missing: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PastQuery:
    at: str
    query: str
    intent: str
    symbol: str | None
    status: str
    answer_id: str | None
    headline: str


@dataclass(frozen=True, slots=True)
class PlotCard:
    """A chart that was drawn. save_path: the file; data_source: what was found for the one asked for; source: which data, in words."""

    success: bool
    save_path: str
    plot_type: str
    data_source: str
    title: str
    source: str
    format: str
    theme: str
    simulated: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PastPlot:
    """A chart that was asked for. status "error": it was not drawn, and `error` says why."""

    at: str
    plot_type: str
    data_source: str
    save_path: str | None
    status: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Insight:
    """One statement about data, with the figures it rests on. weight: in [0, 1], what the ranking sorts by; plot: its picture's file."""

    kind: str
    statement: str
    weight: float
    evidence: tuple[Evidence, ...]
    plot_type: str
    plot: str | None = None


@dataclass(frozen=True, slots=True)
class InsightsCard:
    """insights: ranked, largest weight first; without: what was looked for and not found, or could not be looked for, and why."""

    success: bool
    data_source: str
    insight_type: str
    insights: tuple[Insight, ...]
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadAxis:
    """An axis of a picture: value = start + step × pixel (or its logarithm). residual: rms distance of the labels, in pixels."""

    scale: Literal["linear", "log", "dates"]
    start: float
    step: float
    labels: int
    residual_px: float
    origin: Literal["labels", "given"]


@dataclass(frozen=True, slots=True)
class ReadCurve:
    """A curve recovered from a picture. x: ISO dates, or pixels where the axis could not be read; error: of a value, one sigma."""

    name: str
    kind: Literal["line", "candlestick"]
    colour: str
    x: tuple[str, ...]
    values: tuple[float, ...]
    value_error: float
    figures: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class ImageAnalysis:
    """What a picture of a chart says. unread: what could not be read, in sentences; method: what read it; y_axis: of the upper
    panel, other_axes: of those below, in whose curves' names the panel stands.

    description: what a vision model sees, with figures of ours only; described_by: which one; undescribed: what it said and may not be
    shown, or why there is no description though one was asked for.
    """

    success: bool
    image_path: str
    analysis_type: str
    width: int
    height: int
    analysis: str
    curves: tuple[ReadCurve, ...]
    y_axis: ReadAxis | None
    x_axis: ReadAxis | None
    unread: tuple[str, ...]
    method: str
    description: tuple[str, ...] = ()
    described_by: str = ""
    undescribed: tuple[str, ...] = ()
    other_axes: tuple[ReadAxis, ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A page on disk. charts: the kinds it shows; without: what it could not show or say, and why."""

    success: bool
    save_path: str
    title: str
    charts: tuple[str, ...]
    without: tuple[str, ...] = ()
