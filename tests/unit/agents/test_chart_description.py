"""A vision model may say what it sees in a picture; every figure stays ours, and every failure leaves what was measured."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from chart_pictures.drawn import Scene, picture_of
from evolve.agents.chart_description import LONGEST_SIDE, ChartDescriber
from evolve.cards import ImageAnalysis
from evolve.charts.image_file import Picture, open_picture
from evolve.charts.read_image import read_chart
from evolve.charts.reading import Calibration
from evolve.errors import InvalidRequest
from evolve.settings import Settings
from language.fake_openai import GOOD, FakeOpenAi, fake_openai

KEY = "sk-sesame-1234567890"
SEEN = {"sentences": ["A blue line on a white ground.", "Its deepest fall is {{DRAWDOWN}}."]}


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageAnalysis, Picture]:
    place = tmp_path_factory.mktemp("pictures")
    (place / "chart.png").write_bytes(picture_of(Scene("matplotlib", "line", False, (1200, 500), None, 100, 250)))
    picture = open_picture("chart.png", (place,))
    return read_chart(picture, "general", Calibration(y=((55, 120.0), (440, 80.0)))), picture


def said_of(read, sentences: list[str]) -> dict[str, object]:
    """With the ids that the figures have. The drawdown's is looked up, so that the test does not lean on an order."""
    id = next(figure.id for figure in read[0].curves[0].figures if figure.name == "drawdown")
    return {**GOOD, "description": {"sentences": [each.replace("DRAWDOWN", id) for each in sentences]}}


def describer(home, fake: FakeOpenAi, **more: object) -> ChartDescriber:
    return ChartDescriber(
        Settings.load(home=home, openai_api_key=KEY, openai_base_url=fake.url, llm_model="fake", **more)
    )


def test_a_description_has_our_figures_in_the_models_words(read, tmp_path):
    with fake_openai(says=said_of(read, SEEN["sentences"])) as fake:
        found = describer(tmp_path, fake).described(*read, "auto")
        asked = fake.of("description")[0].body

    drawdown = next(figure.value for figure in read[0].curves[0].figures if figure.name == "drawdown")
    assert found.description == ("A blue line on a white ground.", f"Its deepest fall is {abs(100 * drawdown):.1f} %.")
    assert found.described_by.startswith("fake at ")
    assert replace(found, description=(), described_by="") == read[0]
    address = asked["messages"][-1]["content"][1]["image_url"]["url"]
    sent = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    assert (sent.format, sent.width) == ("PNG", LONGEST_SIDE)


def test_sentences_with_figures_that_nobody_measured_are_left_out_and_counted(read, tmp_path):
    sentences = ["A blue line.", "It ends at 412.", "It doubled.", "It gained {{DRAWDOWN}}.", "It fell to {{e99}}."]
    with fake_openai(says=said_of(read, sentences)) as fake:
        found = describer(tmp_path, fake).described(*read, "auto")

    assert found.description == ("A blue line.",)
    assert "4 sentences of fake" in found.undescribed[0]


def test_where_no_sentence_can_be_shown_it_is_asked_once_more_and_then_the_measurements_stand_alone(read, tmp_path):
    with fake_openai(says=said_of(read, ["It ends at 412."])) as fake:
        found = describer(tmp_path, fake).described(*read, "auto")
        assert len(fake.of("description")) == 2

    assert found.description == ()
    assert "could not be used" in found.undescribed[0]


def _misbehave(status: int | None):
    def behave(handler, exchange) -> bool:
        if exchange.shape != "description":
            return False
        if status is None:
            handler.stall()
        elif status == 200:
            handler.raw(200, b"<html>" * 300_000, "text/html")  # 1.8 MB of nonsense
        else:
            handler.json(status, {"error": {"message": f"no: {KEY}"}}, retry_after="60")
        return True

    return behave


@pytest.mark.parametrize(
    ("status", "reason"),
    [(429, "asks to wait"), (500, "failed"), (401, "key"), (None, "longer than"), (200, "bytes")],
    ids=["too many requests", "server error", "wrong key", "never answers", "huge nonsense"],
)
def test_whatever_the_server_does_the_measurements_stand_and_the_reason_is_told(read, tmp_path, status, reason):
    with fake_openai(behave=_misbehave(status)) as fake:
        found = describer(tmp_path, fake, llm_seconds_per_question=1.0).described(*read, "auto")

    assert found.curves == read[0].curves
    assert found.description == ()
    assert reason in found.undescribed[0]
    assert KEY not in found.undescribed[0]


def test_the_model_that_is_named_is_the_one_that_is_asked(read, tmp_path):
    with fake_openai(says=said_of(read, ["A blue line."])) as fake:
        found = describer(tmp_path, fake).described(*read, "eyes-2")
        assert fake.of("description")[0].body["model"] == "eyes-2"
    assert found.described_by.startswith("eyes-2")


def test_a_record_of_what_was_asked_names_the_picture_and_does_not_hold_it(read, tmp_path):
    with fake_openai(says=said_of(read, ["A blue line."])) as fake:
        describer(tmp_path, fake).described(*read, "auto")
        again = describer(tmp_path, fake).described(*read, "auto")
        assert len(fake.of("description")) == 1
    assert again.description == ("A blue line.",)
    records = [json.loads(path.read_text()) for path in (tmp_path / "llm" / "exchanges").rglob("*.json")]
    assert [len(each["asked"][-1]["image"]) for each in records if "image" in each["asked"][-1]] == [64]


def test_without_a_model_to_ask_naming_one_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InvalidRequest, match="OPENAI_API_KEY"):
        ChartDescriber(Settings.load(home=tmp_path)).check("auto")
