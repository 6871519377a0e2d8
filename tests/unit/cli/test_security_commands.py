"""`evolve security init`: certificates that openssl accepts, files that only their user can read, and nothing overwritten."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from evolve.audit_trail import AuditTrail
from evolve.cli import main
from evolve.messaging import acl
from evolve.services import SERVICES


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("package openssl is not installed")
    monkeypatch.setenv("EVOLVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def openssl(folder: Path, *words: str) -> str:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_private_deployment_is_made_in_one_command(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "secrets"

    assert main(["security", "init", str(folder), "--host", "valkey", "--host", "10.0.0.5", "--days", "30"]) == 0

    said = capsys.readouterr().out
    assert f"REDIS_CA_CERTS={folder}/ca.crt" in said
    assert "REDIS_HOST=valkey" in said
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".crt":
            assert path.stat().st_mode & 0o077 == 0, path
    words = {path.name: path.read_text().strip() for path in (folder / "passwords").iterdir()}
    assert set(words) == {*acl.users(list(SERVICES)), "postgres"}
    assert len(set(words.values())) == len(words)
    assert not any(word in (folder / "users.acl").read_text() or word in said for word in words.values())
    assert openssl(folder, "verify", "-CAfile", "ca.crt", "-purpose", "sslserver", "server.crt").startswith(
        "server.crt: OK"
    )
    assert openssl(folder, "verify", "-CAfile", "ca.crt", "-purpose", "sslclient", "client.crt").startswith(
        "client.crt: OK"
    )
    names = openssl(folder, "x509", "-in", "server.crt", "-noout", "-ext", "subjectAltName")
    assert "DNS:valkey" in names
    assert "IP Address:10.0.0.5" in names
    [entry] = AuditTrail(home).entries()
    assert (entry.what, entry.details["hosts"]) == ("security_init", "valkey 10.0.0.5")


def test_what_is_there_is_not_overwritten_but_renewed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "secrets"
    main(["security", "init", str(folder)])
    kept = {name: (folder / name).read_bytes() for name in ("ca.crt", "ca.key", "passwords/client", "users.acl")}
    before = (folder / "server.crt").read_bytes()

    assert main(["security", "init", str(folder)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert main(["security", "init", str(folder), "--renew"]) == 0

    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert (folder / "server.crt").read_bytes() != before
    assert openssl(folder, "verify", "-CAfile", "ca.crt", "server.crt").startswith("server.crt: OK")
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("host", ["a host", "x,DNS:evil", "-x", "x\nkeyUsage=any"])
def test_what_is_no_host_makes_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    assert main(["security", "init", str(tmp_path / "secrets"), f"--host={host}"]) == 1

    assert "is no host name and no address" in capsys.readouterr().err
    assert not (tmp_path / "secrets").exists()


def test_renewing_needs_the_authoritys_key(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["security", "init", str(tmp_path / "nothing"), "--renew"]) == 1

    assert "holds no ca.key" in capsys.readouterr().err


def test_the_audit_log_is_shown_and_verified(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trail = AuditTrail(home)
    trail.record("delete_model", who="client-1", model_id="ridge-1")
    head = trail.record("move_alias", who="client-2", alias="champion").digest

    assert main(["audit-log", "show"]) == 0
    assert "client-1" in capsys.readouterr().out
    assert main(["audit-log", "verify", "--json", "--head", head]) == 0
    assert json.loads(capsys.readouterr().out)["head"] == head
    trail.path.write_text(trail.path.read_text().replace("ridge-1", "ridge-2"))
    assert main(["audit-log", "verify"]) == 1
    assert "BROKEN: line 1" in capsys.readouterr().err
