"""What another service did for a question is told with what it found, drew or built, and never as a claim of ours."""

from __future__ import annotations

from evolve.agents.carried_out import told
from evolve.cards import DataCard, PlotCard
from evolve.evidence import EvidenceBook
from evolve.findings import Paper, Repository
from evolve.tunings import TuningCard

PAPER = Paper("2101.00001", 1, "Momentum\n and  its crashes", "…", "https://arxiv.org/abs/2101.00001", "q-fin.TR", published="2021-01-04T00:00:00Z")  # fmt: skip
REPOSITORY = Repository(
    "a/trader", "trader", "https://github.com/a/trader", "…", 1_234, "Python", "MIT", "2025-01-01", "t"
)


def found(*results: object, source: str = "arxiv", note: str = "") -> dict[str, object]:
    return {"type": "x", "results": results, "query": "momentum", "count": len(results), "source": source, "as_of": "2026-11-22", "note": note}  # fmt: skip


def test_papers_are_listed_with_date_and_address_and_as_untested() -> None:
    said = told("research", found(PAPER))

    assert said.headline == "Found 1 result for 'momentum' at arxiv, as of 2026-11-22."
    assert said.sentences == (
        "Momentum and its crashes (2021-01-04): https://arxiv.org/abs/2101.00001",
        "Nothing of this was tested; `evolve research replicate` does that.",
    )


def test_repositories_are_listed_with_stars_and_licence() -> None:
    assert told("research", found(REPOSITORY, source="github")).sentences[0] == (
        "a/trader, 1,234 stars, licence MIT: https://github.com/a/trader"
    )


def test_an_empty_library_says_so_with_the_services_note() -> None:
    said = told("research", found(source="library", note="no network; nothing in the library fits"))

    assert said.headline == "Found 0 results for 'momentum' in the local library, as of 2026-11-22."
    assert said.sentences[0] == "no network; nothing in the library fits"


def test_a_chart_is_told_with_its_file_and_data() -> None:
    card = PlotCard(
        True, "plots/x.png", "equity_curve", "ridge-AAPL", "Equity: ridge", "bokeh-sampledata", "png", "light", False
    )

    assert told("multimodal", {"type": "plot_generated", "result": card}).headline == "Drew Equity: ridge: plots/x.png."


def test_anything_else_is_told_by_its_type() -> None:
    assert told("echo", {"type": "echoed"}).headline == "Done by echo: echoed."


def tuning(**changed: object) -> TuningCard:
    book = EvidenceBook()
    for name, value, unit in (("best_score", 0.012, "fraction"), ("default_score", 0.01, "fraction"), ("p_value", 0.4, "probability"), ("trials", 50, "count")):  # fmt: skip
        book.add(name, "ridge", value, unit, as_of="2004-02-24", source="s", computed="c")  # type: ignore[arg-type]
    data = DataCard("AAPL", "1d", "bokeh-sampledata", "f", 3_000, "2000-03-01", "2013-03-01", False, "stale")
    fields: dict[str, object] = {
        "study_id": "abc", "model_type": "ridge", "symbol": "AAPL", "timeframe": "1d", "optimization_method": "bayesian", "sampler": "tpe",
        "best_score": 0.012, "best_params": {"alpha": 9.0}, "best_trial": 7, "default_score": 0.01, "improvement": 0.002, "p_value": 0.4,
        "verdict": "defaults_as_good", "recommended_params": {"alpha": 0.0}, "reason": "by no more than luck", "n_trials": 50, "complete": 40,
        "pruned": 10, "failed": 0, "stopped_early": "", "cv_folds": 5, "horizon_bars": 1, "features": (), "train_bars": 1000,
        "train_last": "2004-02-24", "dataset_size": "medium", "importance": {"alpha": 1.0}, "data": data, "figures": tuple(book), "top": (),
        "warm_started_from": (), "notes": (), "seed": 0, "created_at": "", "finished_at": "", "seconds": 1.0,
    }  # fmt: skip
    return TuningCard(**{**fields, **changed})  # type: ignore[arg-type]


def test_a_search_is_told_with_its_verdict_first_and_what_to_use() -> None:
    said = told("meta_tuner", {"type": "hyperparameters_tuned", "result": tuning()})

    assert said.headline == "Tuned ridge on AAPL at 1d: the defaults are as good (study abc)."
    assert said.sentences[0].startswith(
        "Best score R² 1.2 % against the defaults' 1.0 %, inside the training part (bars up to 2004-02-24); p = 0.400"
    )
    assert said.sentences[1] == "To use: alpha = 0."


def test_better_hyperparameters_are_told_as_found() -> None:
    said = told(
        "meta_tuner", {"result": tuning(verdict="better", recommended_params={"alpha": 9.0, "members": "fast"})}
    )

    assert said.headline == "Tuned ridge on AAPL at 1d: better hyperparameters found (study abc)."
    assert said.sentences[1] == "To use: alpha = 9, members = fast."
