"""A file is there whole or not at all, and nothing unfinished stays."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from evolve.files import write_whole


def test_a_file_is_replaced_whole_with_the_mode_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"first")
    write_whole(path, b"second", durable=True, mode=0o644)

    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"second", 0o644)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_put_in_place_leaves_the_old_and_nothing_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "a"
    (path / "held").mkdir(parents=True)  # a directory that holds something is not replaced by a file

    with pytest.raises(IsADirectoryError):
        write_whole(path, b"new")

    assert list(tmp_path.iterdir()) == [path]


def test_threads_that_write_one_path_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a"
    contents = [bytes([letter]) * 200_000 for letter in b"abcdefgh"]
    writers = [threading.Thread(target=write_whole, args=(path, content)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
