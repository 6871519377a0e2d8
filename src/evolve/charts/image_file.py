"""May this file be read as a picture, and what are its pixels? Files come from anywhere: size, kind and place are checked first."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.errors import Forbidden, InvalidRequest, TooLarge
from evolve.security_events import report

MAX_BYTES = 20 << 20  # a 4K screenshot as PNG has 2 to 10 MB
MAX_SIDE = 8_000
MAX_PIXELS = 16_000_000  # 48 MB of pixels; a 4K screen has 8.3 million
MIN_WIDTH, MIN_HEIGHT = 120, 80  # below, tick labels cannot be read by anybody
KINDS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """pixels: shape (height, width, 3), RGB, what was transparent laid on white."""

    path: str
    pixels: Pixels

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def open_picture(path: str, places: Sequence[Path]) -> Picture:
    """The pixels of a PNG or JPEG in one of `places`.

    Raises InvalidRequest (no such file, no picture, damaged, too small), Forbidden (elsewhere, a link, no ordinary file) or TooLarge.
    """
    content = _content(path, places)
    kind = next((name for mark, name in KINDS.items() if content.startswith(mark)), None)
    if kind is None:
        raise InvalidRequest(f"{_name(path)} is neither a PNG nor a JPEG; save the picture as one of them")
    return Picture(path, _pixels(content, kind, _name(path)))


def _content(path: str, places: Sequence[Path]) -> bytes:
    if not path.isprintable():
        raise InvalidRequest("a path must not hold control characters")
    asked = Path(path)
    if not asked.is_absolute():
        asked = next((place / part for place in places for part in (path, path.removeprefix("plots/")) if (place / part).exists()), places[0] / path)  # fmt: skip
    try:
        parent = asked.parent.resolve(strict=True)
    except (OSError, RuntimeError):
        raise InvalidRequest(f"there is no picture at {_name(path)}") from None
    allowed = [place.resolve() for place in places]
    if not any(parent == place or place in parent.parents for place in allowed):
        report("path_refused", path=path, wanted="read")
        named = ", ".join(str(place) for place in places)
        raise Forbidden(
            f"{_name(path)} lies outside of the directories that pictures are read from ({named}); copy it there, or name its directory in EVOLVE_IMAGE_DIRS"
        )
    try:
        # No link is followed, and a pipe does not make us wait.
        handle = os.open(parent / asked.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InvalidRequest(f"there is no picture at {_name(path)}") from None
    except OSError as error:
        report("path_refused", path=path, wanted="read")
        raise Forbidden(f"{_name(path)} cannot be read: it is a link, or {error.strerror}") from None
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Forbidden(f"{_name(path)} is no ordinary file")
        if found.st_size > MAX_BYTES:
            raise TooLarge(f"{_name(path)} has {found.st_size:,} bytes; at most {MAX_BYTES:,} are read")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLarge(f"{_name(path)} grew beyond {MAX_BYTES:,} bytes while it was read")
    return content


def _pixels(content: bytes, kind: str, name: str) -> Pixels:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what is refused below
            # Only the two decoders that are needed: each of the others is a door.
            with Image.open(io.BytesIO(content), formats=(kind,)) as image:
                _check_size(image, name)
                image.load()
                return np.asarray(_flat(image), dtype=np.uint8)
    except (Image.DecompressionBombError, MemoryError):
        raise TooLarge(f"{name} unpacks to more than {MAX_PIXELS:,} pixels") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise InvalidRequest(f"{name} is damaged or no {kind}: {str(error)[:120]}") from None


def _check_size(image: Any, name: str) -> None:
    width, height = image.size
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise TooLarge(f"{name} has {width:,} × {height:,} pixels; at most {MAX_PIXELS:,} in all and {MAX_SIDE:,} a side are read")  # fmt: skip
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        raise InvalidRequest(f"{name} has {width} × {height} pixels; a chart needs at least {MIN_WIDTH} × {MIN_HEIGHT} to be read")  # fmt: skip
    if getattr(image, "n_frames", 1) > 1:
        raise InvalidRequest(f"{name} is an animation; save the one frame that shows the chart")


def _flat(image: Any) -> Any:
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")


def _name(path: str) -> str:
    return repr(Path(path).name[:80])
