"""The generated client methods: fresh, and derived from nothing but the contracts."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.client import generated
from evolve.client.core import all_requests
from evolve.client.generate import formatted, source, write


def test_the_committed_file_is_what_the_contracts_generate() -> None:
    committed = Path(generated.__file__).read_text()

    assert committed == formatted(), "run `python -m evolve.client.generate`"


def test_it_is_written_where_told(tmp_path: Path) -> None:
    assert write(tmp_path / "made.py").read_text() == formatted()


def test_two_methods_never_share_a_name() -> None:
    names = [request.client_method for requests in all_requests().values() for request in requests.values()]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("service", all_requests())
def test_a_method_says_what_it_sends_and_what_answers(service: str) -> None:
    for request in all_requests()[service].values():
        method = getattr(generated.GeneratedMethods, request.client_method)

        assert f"Sends `{request.wire_type}` to {service}; answers `{request.reply_type.wire_type}`." in (
            method.__doc__ or ""
        )
        assert (request.__doc__ or "").strip().splitlines()[0] in (method.__doc__ or "")


def test_the_source_compiles_before_it_is_formatted() -> None:
    compile(source(), "generated.py", "exec")
