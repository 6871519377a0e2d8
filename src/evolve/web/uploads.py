"""Where does a file that somebody sends lie until it is read? In a directory of its own, under a harmless name, for one request."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from evolve.errors import EvolveError, InvalidRequest, Malformed, Unavailable
from evolve.files import write_whole
from evolve.settings import Settings

MAX_NAME = 100
MAX_FIELDS = 20
HARMLESS = re.compile(r"[^\w.() -]+", re.ASCII)


def harmless(name: str) -> str:
    """The last part of a file's name as its owner gave it, without anything that means something to a shell or a file system."""
    last = re.split(r"[/\\]", name)[-1]
    return HARMLESS.sub("_", last).strip(". ")[:MAX_NAME] or "upload"


@asynccontextmanager
async def sent_file(request: Request, settings: Settings, name: str) -> AsyncIterator[Path]:
    """The whole body of a request as a file. Raises Unavailable where it cannot be written, and what the guard raises for a long one."""
    async with _place(settings) as place:
        path = place / harmless(name)
        try:
            with path.open("wb") as file:
                async for piece in request.stream():
                    await run_in_threadpool(file.write, piece)
        except ClientDisconnect:
            raise Malformed("the connection ended before the file did") from None
        except OSError as error:
            raise Unavailable(f"cannot keep the file for a moment: {error.strerror}") from None
        yield path


@asynccontextmanager
async def form_with_file(
    request: Request, settings: Settings, field: str
) -> AsyncIterator[tuple[Mapping[str, str], Path]]:
    """The fields of a form, and the file in one of them. Raises InvalidRequest for a form without it."""
    try:
        form = await request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=1 << 16)
    except MultiPartException as error:
        raise InvalidRequest(f"this form cannot be read: {error.message}") from None
    try:
        sent = form.get(field)
        if not isinstance(sent, UploadFile) or not sent.filename:
            raise InvalidRequest("choose a file first")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        async with _place(settings) as place:
            path = place / harmless(sent.filename)
            await run_in_threadpool(_copied, sent, path)
            yield fields, path
    finally:
        await form.close()


def _copied(sent: UploadFile, path: Path) -> None:
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(sent.file, file)
    except OSError as error:
        raise Unavailable(f"cannot keep the file for a moment: {error.strerror}") from None


@asynccontextmanager
async def _place(settings: Settings) -> AsyncIterator[Path]:
    folder = settings.home / "uploads"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=folder))
    except OSError as error:
        raise Unavailable(f"cannot write {folder}: {error.strerror}; set EVOLVE_HOME to a writable directory") from None
    try:
        yield place
    except EvolveError as error:
        # Whoever sent a file knows it by its name; where it lay for a moment is nobody's business.
        if str(place) not in error.message:
            raise
        details = {name: value for name, value in error.details.items() if str(place) not in str(value)}
        raise type(error)(error.message.replace(f"{place}/", ""), **details) from None
    finally:
        await run_in_threadpool(shutil.rmtree, place, ignore_errors=True)


def kept_picture(path: Path, images: Path) -> Path:
    """The picture among the home's own, named by its content, so that the same one sent twice is kept once. Raises InvalidRequest, TooLarge."""
    import hashlib

    from evolve.charts.image_file import KINDS, MAX_BYTES

    if path.stat().st_size > MAX_BYTES:
        from evolve.errors import TooLarge

        raise TooLarge(f"{path.name} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
    content = path.read_bytes()
    kind = next((name for mark, name in KINDS.items() if content.startswith(mark)), None)
    if kind is None:
        raise InvalidRequest(f"{path.name} is neither a PNG nor a JPEG; save the picture as one of them")
    images.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = images / f"sent-{hashlib.sha256(content).hexdigest()[:24]}.{'png' if kind == 'PNG' else 'jpg'}"
    if not kept.exists():
        write_whole(kept, content)
    return kept
