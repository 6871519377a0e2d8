"""What another service did for a question is told with what it found, drew or built, and never as a claim of ours."""

from __future__ import annotations

from evolve.agents.carried_out import told
from evolve.cards import PlotCard
from evolve.findings import Paper, Repository

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
