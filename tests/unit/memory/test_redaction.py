"""Nothing that looks like a key, token or password is stored."""

from __future__ import annotations

import time

import pytest

from evolve.memory.redaction import REDACTED, redact


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apikey",
        "OPENAI_API_KEY",
        "accessToken",
        "auth-token",
        "password",
        "redis_password",
        "client_secret",
        "Authorization",
        "privateKey",
    ],
)
def test_what_a_secret_key_names_is_redacted(key):
    assert redact({"nested": [{key: "hunter2"}]}) == {"nested": [{key: REDACTED}]}


def test_even_a_numeric_or_structured_secret_is_redacted():
    assert redact({"password": 1234, "credentials": {"user": "u"}}) == {"password": REDACTED, "credentials": REDACTED}


@pytest.mark.parametrize(
    "kept",
    [
        {"max_tokens": 400},
        {"keyword": "momentum"},
        {"monkey": "x"},
        {"token": None},
        {"use_token": True},
        {"tokenizer": "bpe"},
    ],
)
def test_what_only_resembles_a_secret_is_kept(kept):
    assert redact(kept) == kept


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("redis://user:s3cret@host:6379/0", f"redis://{REDACTED}@host:6379/0"),
        ("my key is sk-abcdefghijklmnop1234, use it", f"my key is {REDACTED}, use it"),
        ("header: Bearer abcdefghijklmnop", f"header: Bearer {REDACTED}"),
        ("password='correct horse'", f"password={REDACTED}"),
        ('{"OPENAI_API_KEY": "abc"}', f'{{"OPENAI_API_KEY": {REDACTED}}}'),
        ("token = 'abcd1234'", f"token = {REDACTED}"),
    ],
)
def test_secrets_inside_texts_are_redacted(text, stored):
    assert redact({"query": text}) == {"query": stored}


def test_a_question_about_a_stock_is_kept_as_asked():
    question = "What's the best model for AAPL over 90d? Compare ridge:1 and http://example.org/a@b"

    assert redact(question) == question


@pytest.mark.parametrize(
    "piece", ["x", "sk-", "://", "://a:", "token", "token ", "token='", 'token="', "bearer ", "password=:", 'api_key" ']
)
def test_a_long_text_costs_linear_time(piece):
    """A pattern that backtracks took minutes on 64 KiB of one letter; a linear one takes some 20 ms."""
    text = piece * ((64 << 10) // len(piece))
    begun = time.process_time()

    redact(text)

    assert time.process_time() - begun < 1.0
