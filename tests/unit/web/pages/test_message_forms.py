"""A form for every message, and the message from what a browser sends back."""

from __future__ import annotations

import pytest

from evolve.client.core import all_requests
from evolve.contracts.model_builder import BuildModel
from evolve.contracts.multimodal import GeneratePlot
from evolve.contracts.performance_critic import EvaluateModel
from evolve.errors import InvalidRequest
from evolve.messaging.messages import Request, validated
from evolve.web.pages.message_forms import data_of, example_form, fields_of

MESSAGES = [cls for known in all_requests().values() for cls in known.values()]


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: f"{cls.service}.{cls.wire_type}")
def test_every_message_can_be_filled_in_with_its_example_and_sent(cls: type[Request[object]]) -> None:
    """What a browser sends of a form that nobody changed is the message with its required fields and all defaults."""
    example = example_form(cls)
    shown = {field.name: field.value for field in fields_of(cls, example)}

    sent = validated(cls, data_of(cls, shown))

    assert set(shown) == set(cls.model_fields)
    required = {name: value for name, value in sent.model_dump(mode="json").items() if name in example}
    assert sent == cls.model_validate(required)


def test_a_field_that_may_be_null_is_null_when_it_is_emptied() -> None:
    form = {"model_id": "m", "symbol": "", "timeframe": "", "period": "", "metrics": "sharpe, drawdown\nwin_rate"}

    data = data_of(EvaluateModel, form)

    assert (data["symbol"], data["timeframe"]) == (None, None)
    assert "period" not in data  # cannot be null: its default holds
    assert data["metrics"] == ["sharpe", "drawdown", "win_rate"]


@pytest.mark.parametrize(
    ("cls", "form", "said"),
    [
        (BuildModel, {"hyperparameters": "{alpha"}, "hyperparameters is JSON"),
        (BuildModel, {"seed": "many"}, "seed is a whole number"),
        (GeneratePlot, {"plot_config": "[" * 100_000}, "plot_config is JSON"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_field(cls: type[Request[object]], form: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        data_of(cls, form)
