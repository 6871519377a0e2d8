"""Twelve hostile files, and what is said of each: a picture may come from anywhere."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from evolve.charts.image_file import MAX_BYTES, open_picture
from evolve.errors import Forbidden, InvalidRequest, TooLarge


def png(width: int = 200, height: int = 120) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "#0072b2").save(buffer, "PNG")
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    """A few hundred bytes that say they are a picture of this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")  # fmt: skip


def text_bomb() -> bytes:
    """A PNG whose compressed comment unpacks to 200 MB."""
    whole = png()
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    return whole[:33] + chunk(b"zTXt", b"Comment\0\0" + packed) + whole[33:]


def animation() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (200, 120), colour) for colour in ("red", "green", "blue")]
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (200, 120)).save(buffer, "GIF")
    return buffer.getvalue()


HOSTILE = {
    "bomb of pixels": (png_claiming(60_000, 60_000), TooLarge, "16,000,000 pixels"),
    "bomb just over": (png_claiming(7_999, 7_999), TooLarge, "pixels"),
    "bomb of text": (text_bomb(), InvalidRequest, "damaged"),
    "truncated": (png(2000, 1500)[:300], InvalidRequest, "damaged"),
    "one pixel": (png(1, 1), InvalidRequest, "at least 120"),
    "wrong type": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", InvalidRequest, "neither a PNG nor a JPEG"),
    "another format": (gif(), InvalidRequest, "neither a PNG nor a JPEG"),
    "PNG mark, no PNG": (b"\x89PNG\r\n\x1a\n" + os.urandom(500), InvalidRequest, "damaged"),
    "JPEG mark, no JPEG": (b"\xff\xd8\xff\xe0" + bytes(500), InvalidRequest, "damaged"),
    "animation": (animation(), InvalidRequest, "animation"),
    "empty": (b"", InvalidRequest, "neither"),
    "huge": (b"\x89PNG\r\n\x1a\n" + bytes(MAX_BYTES), TooLarge, "bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_a_sentence(name, tmp_path):
    content, error, said = HOSTILE[name]
    (tmp_path / "chart.png").write_bytes(content)

    with pytest.raises(error, match=said):
        open_picture(str(tmp_path / "chart.png"), (tmp_path,))


def test_a_link_a_pipe_a_directory_and_a_path_out_are_refused(tmp_path):
    allowed = tmp_path / "plots"
    allowed.mkdir()
    (tmp_path / "secret.png").write_bytes(png())
    (allowed / "link.png").symlink_to(tmp_path / "secret.png")
    (allowed / "way").symlink_to(tmp_path)
    os.mkfifo(allowed / "pipe.png")

    for path in ("link.png", "pipe.png", ".", "../secret.png", "way/secret.png", str(tmp_path / "secret.png")):
        with pytest.raises(Forbidden):
            open_picture(path if path.startswith("/") else str(allowed / path), (allowed,))
    for path in ("nothing.png", "a\0b.png", "no/such/place.png"):
        with pytest.raises(InvalidRequest):
            open_picture(str(allowed / path), (allowed,))


def test_an_ordinary_picture_is_read_also_by_its_short_name(tmp_path):
    (tmp_path / "chart.png").write_bytes(png())

    for path in (str(tmp_path / "chart.png"), "chart.png", "plots/chart.png"):
        picture = open_picture(path, (tmp_path,))
        assert (picture.width, picture.height) == (200, 120)
        assert np.array_equal(picture.pixels[0, 0], [0, 0x72, 0xB2])


def test_what_is_transparent_lies_on_white(tmp_path):
    Image.new("RGBA", (200, 120), (255, 0, 0, 0)).save(tmp_path / "clear.png")

    assert (open_picture("clear.png", (tmp_path,)).pixels == 255).all()
