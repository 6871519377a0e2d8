"""`evolve security`: everything a private deployment needs to run with TLS and a user for each service, made once."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from evolve.cli.options import AsJson
from evolve.errors import InvalidRequest, Unavailable

security_app = typer.Typer(
    help="TLS, users and passwords of a private deployment.", no_args_is_help=True, rich_markup_mode=None
)

POSTGRES = "postgres"

SERVER_CONF = """\
# Valkey or Redis >= 7 for Evolve, by TLS only: valkey-server {at}/valkey.conf --dir DATA
port 0
tls-port 6379
tls-cert-file {at}/server.crt
tls-key-file {at}/server.key
tls-ca-cert-file {at}/ca.crt
tls-auth-clients yes
tls-protocols "TLSv1.2 TLSv1.3"
aclfile {at}/users.acl
# Requests must survive a restart, and never make room for others.
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""

SETTINGS = """\
REDIS_HOST={host}
REDIS_PORT=6379
REDIS_TLS=true
REDIS_CA_CERTS={at}/ca.crt
REDIS_CERTFILE={at}/client.crt
REDIS_KEYFILE={at}/client.key
"""


@security_app.command("init")
def init(
    directory: Annotated[Path, typer.Argument(help="Where to make them; must not be there yet, or be empty.")],
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="A name or address the server is reached by; may be repeated. Default: localhost."),
    ] = None,
    keys_at: Annotated[
        Path | None, typer.Option("--keys-at", metavar="PATH", help="Where the server sees these files; default: here.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="How long the certificates hold; the authority: ten years.")
    ] = 365,
    renew: Annotated[
        bool, typer.Option("--renew", help="New certificates by the authority that is there; passwords stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """A certificate authority, certificates, users with passwords and a server's configuration, in DIRECTORY (0700)."""
    hosts = host or ["localhost", "127.0.0.1"]
    folder = directory.expanduser().absolute()
    at = keys_at or folder
    if renew:
        _renew(folder, hosts, at, days)
    else:
        _make(folder, hosts, at, days)
    _put_on_record("security_renew" if renew else "security_init", folder, hosts)
    settings = dict(line.split("=", 1) for line in SETTINGS.format(host=hosts[0], at=folder).splitlines())
    own = {"REDIS_USERNAME": "client", "REDIS_PASSWORD_FILE": f"{folder}/passwords/client"}
    if as_json:
        server = ["valkey-server", f"{at}/valkey.conf", "--dir", "DATA"]
        typer.echo(json.dumps({"directory": str(folder), "server": server, "settings": settings | own}, indent=2))
        return
    typer.echo(f"{'renewed' if renew else 'made'} {folder}; keep ca.key elsewhere, nothing that runs needs it")
    typer.echo(f"server:   valkey-server {at}/valkey.conf --dir DATA      (or redis-server)")
    typer.echo(
        "settings: of every process, and its own REDIS_USERNAME (the service's name; client for people and programs)"
    )
    typer.echo("\n".join(f"{name}={value}" for name, value in (settings | own).items()))


@security_app.command("events")
def events(
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What was refused or attempted: users, programs, paths, addresses, damaged files."""
    from collections import deque

    from evolve.security_events import reported
    from evolve.settings import Settings

    newest = deque(reported(Settings.load().logs), maxlen=limit)
    if as_json:
        typer.echo(json.dumps(list(newest), indent=2))
        return
    for event in newest:
        told = "  ".join(f"{name}={value}" for name, value in event.items() if name not in ("at", "event"))
        typer.echo(f"{event['at']}  {event['event']:<22} {told}")
    if not newest:
        typer.echo("no security events")


def _make(folder: Path, hosts: list[str], at: Path, days: int) -> None:
    """All or nothing: it is made beside its place, and moved there when it is whole."""
    from evolve.messaging.certificates import make_authority, make_certificate

    if folder.is_dir() and any(folder.iterdir()):
        raise InvalidRequest(f"{folder} is not empty; choose a new directory, or renew certificates with --renew")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            made = Path(name) / folder.name
            made.mkdir(mode=0o700)
            make_authority(made)
            make_certificate(made, "server", hosts=hosts, days=days)
            make_certificate(made, "client", days=days)
            _passwords(made)
            _files(made, hosts, at)
            os.replace(made, folder)
    except OSError as error:
        raise Unavailable(f"cannot write {folder}: {error.strerror}") from None


def _renew(folder: Path, hosts: list[str], at: Path, days: int) -> None:
    from evolve.messaging.certificates import replace_certificate

    if not (folder / "ca.key").is_file():
        raise InvalidRequest(f"{folder} holds no ca.key to renew by; bring it back, or make a new directory")
    try:
        replace_certificate(folder, "server", hosts=hosts, days=days)
        replace_certificate(folder, "client", days=days)
        _passwords(folder)  # of services that were added since
        _files(folder, hosts, at)
    except OSError as error:
        raise Unavailable(f"cannot write {folder}: {error.strerror}") from None


def _put_on_record(what: str, folder: Path, hosts: list[str]) -> None:
    """In the trail of whose home this is: who runs the deployment makes its keys."""
    from evolve.audit_trail import AuditTrail, user_of_this_machine
    from evolve.settings import Settings

    AuditTrail(Settings.load().home).record(
        what, who=user_of_this_machine(), directory=str(folder), hosts=" ".join(hosts)
    )


def _passwords(folder: Path) -> None:
    """One file for each user, made where there is none."""
    from evolve.messaging import acl
    from evolve.services import SERVICES

    place = folder / "passwords"
    place.mkdir(mode=0o700, exist_ok=True)
    for user in [*acl.users(list(SERVICES)), POSTGRES]:
        if not (place / user).exists():
            _write(place / user, acl.new_password())  # no line end: some readers would take it for a part


def _files(folder: Path, hosts: list[str], at: Path) -> None:
    from evolve.messaging import acl
    from evolve.services import SERVICES

    names = list(SERVICES)
    words = {user: (folder / "passwords" / user).read_text().strip() for user in acl.users(names)}
    _write(folder / "users.acl", acl.acl_file(names, words))
    _write(folder / "valkey.conf", SERVER_CONF.format(at=at))
    _write(folder / "settings.env", SETTINGS.format(host=hosts[0], at=at))


def _write(path: Path, text: str) -> None:
    from evolve.files import write_whole

    write_whole(path, text.encode(), durable=True)
