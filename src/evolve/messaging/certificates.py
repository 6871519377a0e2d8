"""Whom does a private deployment trust? A certificate authority of its own, and certificates for its server and its clients.

Made by the `openssl` command, which every server of this kind is installed with: a library for it would weigh 14 MB in each image and be
used once. Keys are made where they stay and are readable by their owner only.
"""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evolve.errors import InvalidRequest, Unavailable

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
CA_DAYS = 3650
OPENSSL_S = 60.0
# P-256: what TLS 1.2 and 1.3 servers all take; a handshake costs a tenth of RSA's.
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_authority(folder: Path) -> None:
    """`ca.key` and `ca.crt`. Keep the key away from the machines that only need the certificate."""
    _openssl(
        folder, "req", "-x509", *NEW_KEY, "-days", str(CA_DAYS), "-subj", "/CN=Evolve private CA", "-keyout", "ca.key", "-out", "ca.crt",
        "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip


def make_certificate(folder: Path, name: str, *, hosts: Sequence[str] = (), days: int) -> None:
    """`<name>.key` and `<name>.crt`, signed by the authority in the same folder. With hosts: for a server that answers under them; else for clients.

    Raises InvalidRequest for what is no host, Unavailable when openssl is missing or fails.
    """
    usage = "serverAuth,clientAuth" if hosts else "clientAuth"
    lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", f"extendedKeyUsage={usage}"]
    if hosts:
        lines.append("subjectAltName=" + ",".join(_alternative(host) for host in hosts))
    extensions, request = folder / f".{name}.ext", folder / f".{name}.csr"
    try:
        extensions.write_text("\n".join(lines) + "\n")
        subject = f"/CN={hosts[0] if hosts else 'evolve ' + name}"
        _openssl(folder, "req", *NEW_KEY, "-subj", subject, "-keyout", f"{name}.key", "-out", request.name)
        _openssl(
            folder, "x509", "-req", "-in", request.name, "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", f"0x{os.urandom(16).hex()}",
            "-days", str(days), "-extfile", extensions.name, "-out", f"{name}.crt",
        )  # fmt: skip
    finally:
        extensions.unlink(missing_ok=True)
        request.unlink(missing_ok=True)


def replace_certificate(folder: Path, name: str, *, hosts: Sequence[str] = (), days: int) -> None:
    """A new key and certificate in the place of those there are, which stay when it fails."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as made:
        for part in ("ca.crt", "ca.key"):
            (Path(made) / part).symlink_to((folder / part).resolve())
        make_certificate(Path(made), name, hosts=hosts, days=days)
        for part in (f"{name}.key", f"{name}.crt"):
            os.replace(Path(made) / part, folder / part)


def _alternative(host: str) -> str:
    """`IP:127.0.0.1` or `DNS:name`. Raises InvalidRequest."""
    try:
        return f"IP:{ipaddress.ip_address(host)}"
    except ValueError:
        if not HOST.fullmatch(host):
            raise InvalidRequest(f"{host!r} is no host name and no address") from None
        return f"DNS:{host}"


def _openssl(folder: Path, *words: str) -> None:
    try:
        # Keys are never readable by others, not even while they are written.
        done = subprocess.run(
            ["openssl", *words], cwd=folder, capture_output=True, text=True, timeout=OPENSSL_S, umask=0o077, check=False
        )
    except FileNotFoundError:
        raise Unavailable("openssl is not on PATH: install the package openssl") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"openssl {words[0]} did not end within {OPENSSL_S:g} s") from None
    if done.returncode != 0:
        raise Unavailable(f"openssl {words[0]} failed: {done.stderr.strip()[-300:]}")
