"""Settings: argument before environment before default, and a wrong one is named as the user wrote it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from evolve.errors import InvalidRequest
from evolve.settings import Settings, checkout


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("EVOLVE_", "REDIS_", "OPENAI_")) or name == "LOG_LEVEL":
            monkeypatch.delenv(name)


def test_without_a_word_the_defaults_of_the_contract_hold() -> None:
    settings = Settings.load()

    assert (settings.redis_host, settings.redis_port, settings.redis_db, settings.redis_url) == (
        "localhost",
        6379,
        0,
        None,
    )
    assert (settings.log_level, settings.response_timeout_s, settings.simulate) == ("INFO", 30.0, False)
    assert settings.redis_is_default


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("REDIS_HOST", "redis.example", "redis_host", "redis.example"),
        ("REDIS_PORT", "7000", "redis_port", 7000),
        ("REDIS_DB", "3", "redis_db", 3),
        ("REDIS_URL", "redis://h:1/0", "redis_url", "redis://h:1/0"),
        ("REDIS_USERNAME", "u", "redis_username", "u"),
        ("REDIS_PASSWORD", "p", "redis_password", "p"),
        ("REDIS_TLS", "true", "redis_tls", True),
        ("REDIS_CA_CERTS", "/ca.pem", "redis_ca_certs", "/ca.pem"),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
        ("OPENAI_API_KEY", "sk-1", "openai_api_key", "sk-1"),
        ("OPENAI_BASE_URL", "http://x", "openai_base_url", "http://x"),
        ("EVOLVE_HOME", "/data/evolve", "home", Path("/data/evolve")),
        ("EVOLVE_LOG_DIR", "/var/log/evolve", "log_dir", Path("/var/log/evolve")),
        ("EVOLVE_RESPONSE_TIMEOUT", "5", "response_timeout_s", 5.0),
        ("EVOLVE_LEASE_S", "3", "lease_s", 3.0),
        ("EVOLVE_SIMULATE", "1", "simulate", True),
    ],
)
def test_each_variable_sets_its_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)

    assert getattr(Settings.load(), field) == value


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "of-the-environment")
    monkeypatch.setenv("EVOLVE_HOME", "/of/the/environment")

    settings = Settings.load(redis_host="of-the-argument", home=Path("/of/the/argument"))

    assert (settings.redis_host, settings.home) == ("of-the-argument", Path("/of/the/argument"))


def test_an_argument_of_none_leaves_the_environments_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_HOST", "of-the-environment")

    assert Settings.load(redis_host=None).redis_host == "of-the-environment"


@pytest.mark.parametrize(
    "variable", ["REDIS_PORT", "REDIS_URL", "EVOLVE_HOME", "EVOLVE_LOG_DIR", "EVOLVE_DATABASE_URL", "LOG_LEVEL"]
)
def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Compose files and systemd units pass `X=` for what was left out; an empty EVOLVE_HOME must not mean the working directory."""
    expected = Settings.load()
    monkeypatch.setenv(variable, "")

    assert Settings.load() == expected


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("REDIS_PORT", "none"),
        ("REDIS_PORT", "70000"),
        ("EVOLVE_LEASE_S", "soon"),
        ("EVOLVE_RESPONSE_TIMEOUT", "-1"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_variable_is_named_as_the_user_wrote_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)

    with pytest.raises(InvalidRequest, match=rf"^{variable} must be .*{text}"):
        Settings.load()


def test_the_level_of_the_log_may_be_written_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")

    assert Settings.load().log_level == "DEBUG"


def test_a_tilde_in_the_home_is_the_users_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit file and a compose file do not expand it."""
    monkeypatch.setenv("EVOLVE_HOME", "~/evolve")

    assert Settings.load().home == Path.home() / "evolve"


def test_the_users_own_home_variable_is_not_taken_for_evolves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("SIMULATE", "1")

    assert Settings.load().home != Path("/somewhere")
    assert not Settings.load().simulate


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings.load().redis_host = "other"  # type: ignore[misc]


def test_secrets_are_not_in_the_text_of_settings() -> None:
    shown = repr(Settings.load(redis_password="hunter2", openai_api_key="sk-very-secret"))

    assert "hunter2" not in shown
    assert "sk-very-secret" not in shown


@pytest.mark.parametrize("other", [{"redis_host": "h"}, {"redis_port": 6380}, {"redis_db": 1}])
def test_any_other_host_port_or_db_is_not_the_default_server(other: dict[str, object]) -> None:
    assert not Settings.load(**other).redis_is_default


def test_a_server_named_in_a_call_wins_over_every_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://of-the-environment:1/0")

    named, unnamed = Settings.for_server("of-the-call", 6379, 0), Settings.for_server("localhost", 6379, 0)

    assert (named.redis_host, named.redis_url, named.redis_is_default) == ("of-the-call", None, False)
    assert unnamed.redis_url == "redis://of-the-environment:1/0"


def test_an_argument_that_equals_its_default_means_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PORT", "7000")

    settings = Settings.for_server("of-the-call", 6379, 2)

    assert (settings.redis_host, settings.redis_port, settings.redis_db) == ("of-the-call", 7000, 2)


def test_a_whole_number_can_be_set_per_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOLVE_MODEL_BUILDER_SLOTS", "3")

    assert Settings.load().service("model_builder", "slots", 1) == 3
    assert Settings.load().service("quant_gpt", "slots", 1) == 1


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "²"])
def test_a_setting_of_a_service_that_is_no_whole_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("EVOLVE_MODEL_BUILDER_SLOTS", text)

    with pytest.raises(InvalidRequest, match="EVOLVE_MODEL_BUILDER_SLOTS must be a whole number"):
        Settings.load().service("model_builder", "slots", 1)


def test_logs_go_where_told_else_to_the_checkout_else_to_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Settings.load(log_dir=Path("/told"), home=Path("/data"))
    untold = Settings.load(home=Path("/data"))
    root = checkout()

    assert told.logs == Path("/told")
    assert root is not None
    assert untold.logs == root / "logs"
    monkeypatch.setattr("evolve.settings.checkout", lambda: None)
    assert untold.logs == Path("/data/logs")
    assert untold.plots == Path("/data/plots")


def test_a_secret_may_stand_in_a_file_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an orchestrator mounts; the environment of a process can be read by whoever may debug it."""
    (tmp_path / "word").write_text("geheim\n")
    monkeypatch.setenv("REDIS_PASSWORD_FILE", str(tmp_path / "word"))
    monkeypatch.setenv("EVOLVE_DATABASE_URL_FILE", str(tmp_path / "word"))

    settings = Settings.load()

    assert (settings.redis_password, settings.database_url) == ("geheim", "geheim")
    assert "geheim" not in repr(settings)
    assert Settings.load(redis_password="argument").redis_password == "argument"
    monkeypatch.setenv("REDIS_PASSWORD", "variable")
    assert Settings.load().redis_password == "variable"


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (b"  \n", "holds no secret"), (b"\xff\xfe", "no text")]
)
def test_a_file_without_a_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "word"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("REDIS_PASSWORD_FILE", str(path))

    with pytest.raises(InvalidRequest, match=rf"REDIS_PASSWORD_FILE: .*{path}.*{why}"):
        Settings.load()
