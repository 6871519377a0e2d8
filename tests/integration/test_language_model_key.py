"""A key given to QuantGPT reaches the services it starts, by their environment, and no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.manager.manager import ServiceManager
from evolve.quant_gpt import KEY_NOT_HANDED_OVER, QuantGPT
from evolve.settings import Settings
from language.fake_openai import fake_openai

KEY = "sk-test-0123456789abcdef0123456789"


@pytest.mark.prove
def test_services_that_quant_gpt_starts_word_their_answers_with_its_key(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with fake_openai() as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        monkeypatch.setenv("EVOLVE_LLM_MODEL", "fake")
        fake.says["narration"] = {"sentences": ["IBM closed at {{e1}}."], "view": "unclear"}
        try:
            with QuantGPT(KEY, settings=Settings.load()) as gpt:
                result = gpt.process_query("Analyze IBM")
            with QuantGPT("sk-another-0123456789abcdef", settings=Settings.load()) as later:
                later.process_query("Analyze IBM")
        finally:
            ServiceManager(settings=Settings.load()).down()

    assert result["status"] == "success"
    assert "IBM closed at 1" in result["gpt_commentary"]
    assert {exchange.headers["authorization"] for exchange in fake.asked} == {f"Bearer {KEY}"}
    printed = capfd.readouterr().err
    assert KEY_NOT_HANDED_OVER in printed
    assert [path for path in home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []
