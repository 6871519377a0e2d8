"""Who may read which secret? Each container's own directory, from what `evolve security init` made.

    python deploy/hand_out.py MADE KEYS

Run as root by the `keys` container of compose.yaml, which ends at once; a container sees only its own directory of KEYS.
"""

import os
import shutil
import sys
from pathlib import Path

EVOLVE = 10_001  # the user of our image
STORE = 999  # of Debian's Valkey and PostgreSQL images alike

SHARED = ("ca.crt", "client.crt", "client.key")
STORES = {
    "valkey": ("ca.crt", "client.crt", "client.key", "server.crt", "server.key", "users.acl", "valkey.conf"),
    "postgres": ("server.crt", "server.key"),
}


def hand_out(made: Path, keys: Path) -> None:
    for store, names in STORES.items():
        for name in names:
            _give(made / name, keys / store / name, STORE)
    _give(made / "passwords" / "postgres", keys / "postgres" / "password", STORE)
    password = (made / "passwords" / "postgres").read_text().strip()
    for word in sorted((made / "passwords").iterdir()):
        if word.name == "postgres":
            continue
        own = keys / word.name
        for name in SHARED:
            _give(made / name, own / name, EVOLVE)
        _give(word, own / "password", EVOLVE)
        # The server's certificate carries the name `postgres` (security init --host), so its name is checked too.
        url = (
            f"postgresql+psycopg://evolve:{password}@postgres/evolve?sslmode=verify-full&sslrootcert=/run/evolve/ca.crt"
        )
        _write(own / "database_url", url.encode(), EVOLVE)


def _give(source: Path, target: Path, owner: int) -> None:
    if not source.is_file():
        sys.exit(
            f"{source} is missing: make the secrets with `evolve security init deploy/secrets --host valkey --host postgres --keys-at /run/keys`"
        )
    _write(target, source.read_bytes(), owner)


def _write(target: Path, content: bytes, owner: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o500)
    shutil.chown(target.parent, owner, owner)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o400)
    with open(handle, "wb") as file:
        file.write(content)
    os.chown(target, owner, owner)
    os.chmod(target, 0o400)


if __name__ == "__main__":
    hand_out(Path(sys.argv[1]), Path(sys.argv[2]))
