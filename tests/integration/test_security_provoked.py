"""Every event of the security list, provoked: each refusal by the code that refuses it reaches the one list and the counts.

Elsewhere, where the server or the pages that refuse run already: auth_refused and acl_refused in integration/messaging/test_servers.py,
access_refused and rate_limited in web/api/test_http_hostile.py, rate_limited on the bus in unit/messaging/test_worker_limits.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpcore
import pytest

from evolve import logs, security_events
from evolve.addresses import CheckedNetwork
from evolve.audit_trail import AuditTrail
from evolve.charts.image_file import open_picture
from evolve.charts.plot_path import plot_path
from evolve.errors import Forbidden, Unavailable
from evolve.memory.artifacts import ArtifactStore
from evolve.sandbox import executor as executor_module
from evolve.sandbox.executor import SafeExecutor
from evolve.security_events import reported, taken


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the list of this test lies."""
    monkeypatch.setattr(logs, "_directory", tmp_path)
    monkeypatch.setattr(security_events, "_said", {})
    taken()
    yield tmp_path
    for file in security_events._files.values():
        file.close()
    security_events._files.clear()


def events(place: Path) -> list[str]:
    """As they stand on the list; as many were counted."""
    listed = [str(event["event"]) for event in reported(place)]
    assert Counter(listed) == Counter(taken())
    return listed


def test_a_picture_that_is_read_or_written_elsewhere(place: Path) -> None:
    with pytest.raises(Forbidden):
        open_picture("/etc/hostname.png", [place])
    with pytest.raises(Forbidden):
        plot_path("../../etc/cron.d/x.png", place)

    assert [(one["event"], one["wanted"]) for one in reported(place)] == [
        ("path_refused", "read"),
        ("path_refused", "write"),
    ]


def test_an_address_of_this_machine(place: Path) -> None:
    with pytest.raises(Forbidden):
        httpcore.ConnectionPool(network_backend=CheckedNetwork(private=False)).request(
            "GET", "http://127.0.0.1:1/latest/meta-data"
        )

    assert events(place) == ["url_refused"]


def test_a_stored_file_that_was_changed(place: Path) -> None:
    store = ArtifactStore(place / "artifacts")
    sha256 = store.put_bytes(b"weights")
    Path(store.where(sha256)).write_bytes(b"others'")

    with pytest.raises(Unavailable):
        store.get_bytes(sha256)

    assert events(place) == ["tampered_artifact"]


def test_an_audit_trail_that_was_changed(place: Path) -> None:
    trail = AuditTrail(place)
    trail.record("promoted", who="me", model="a")
    trail.path.write_bytes(trail.path.read_bytes().replace(b'"a"', b'"b"'))

    assert trail.verify().problem
    assert events(place) == ["tampered_audit"]


FORGE = "import os, struct\ndef main(d):\n    p = b'{}'\n    os.write(3, struct.pack('>cI', b'X', len(p)) + p)\n    while True: pass\n"
# Number 101 on x86-64 and 117 on aarch64: nothing a program needs.
PTRACE = "import ctypes, platform\ndef main(d):\n    ctypes.CDLL(None).syscall(101 if platform.machine() == 'x86_64' else 117, 0, 0, 0, 0)\n"


def test_what_programs_try_in_the_sandbox(place: Path) -> None:
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=128, home=place) as gated:
        assert (
            gated.execute_model("import os\ndef main(d):\n    return os.getcwd()\n", "a").status == "validation_error"
        )
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=128, home=place, validate_code=False) as open_gate:
        assert open_gate.execute_model(FORGE, "b").status == "execution_error"
        assert open_gate.execute_model(PTRACE, "c").status == "execution_error"
    SafeExecutor(enable_sandbox=False, home=place).close()

    assert events(place) == ["program_refused", "channel_forged", "forbidden_system_call", "sandbox_disabled"]


def test_a_sandbox_that_does_not_stand(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = executor_module.SelfTest("refused", "open worked")
    monkeypatch.setattr(executor_module.SelfTest, "of", classmethod(lambda *_: failed))
    with SafeExecutor(timeout_seconds=10, memory_limit_mb=128, home=place) as executor:
        assert executor.execute_model("def main(d):\n    return 1\n", "a").status == "system_error"

    assert events(place) == ["self_test_failed"]
