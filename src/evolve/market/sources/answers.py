"""What has a service already told us? Answers kept on disk, so that asking twice costs the service nothing.

One file per question: a line of JSON, then the body. A file is whole or absent; one that cannot be read is as good as absent.
Questions are known by a hash that leaves keys out, so no key ever lies on the disk.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from evolve.errors import Unavailable
from evolve.files import write_whole

MAX_BYTES = 1 << 30  # of all answers together; the oldest go first


@dataclass(frozen=True, slots=True)
class Answer:
    """A body (uncompressed) and what stood around it. url: without keys. fetched_at: Unix seconds of the last confirmation."""

    url: str
    status: int
    content_type: str
    etag: str
    fetched_at: float
    body: bytes
    from_disk: bool = False


class Answers:
    """The answers of one source in `directory`. Several processes may share it; the last writer wins."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, url: str) -> Answer | None:
        """The answer to `url` (without keys), or None when there is none or it is damaged."""
        try:
            head, _, body = self._path(url).read_bytes().partition(b"\n")
            about = json.loads(head)
            if about["sha256"] != hashlib.sha256(body).hexdigest() or about["url"] != url:
                return None
            return Answer(
                url=url,
                status=int(about["status"]),
                content_type=str(about["content_type"]),
                etag=str(about["etag"]),
                fetched_at=float(about["fetched_at"]),
                body=body,
                from_disk=True,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, answer: Answer) -> None:
        """Remember `answer`, and forget the oldest ones beyond MAX_BYTES. Raises Unavailable when the disk refuses."""
        about = {name: value for name, value in asdict(answer).items() if name not in ("body", "from_disk")}
        about["sha256"] = hashlib.sha256(answer.body).hexdigest()
        content = json.dumps(about).encode() + b"\n" + answer.body
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(answer.url), content)
            self._forget_oldest()
        except OSError as error:
            raise Unavailable(
                f"cannot keep answers in {self.directory}: {error.strerror}; set EVOLVE_HOME to a directory you can write"
            ) from None

    def _forget_oldest(self) -> None:
        found = []
        for path in self.directory.glob("*.answer"):
            with suppress(FileNotFoundError):  # another process was faster
                about = path.stat()
                found.append((about.st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= MAX_BYTES:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, url: str) -> Path:
        return self.directory / f"{hashlib.sha256(url.encode()).hexdigest()[:40]}.answer"
