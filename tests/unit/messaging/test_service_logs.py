"""One log file per service, every line with the request it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from evolve import logs
from evolve.errors import Unavailable


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is the process's: give pytest its own back."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers, root.level = handlers, level
    structlog.configure(**config)


def lines(directory: Path, service: str = "echo") -> list[str]:
    return (directory / f"{service}_service.log").read_text().splitlines()


def test_a_line_says_when_how_grave_what_and_for_which_request(tmp_path: Path) -> None:
    logs.configure("echo", directory=tmp_path / "new", level="INFO")

    logs.logger(service="echo").info("answered", request_id="r1", seconds=0.5)

    [line] = lines(tmp_path / "new")
    assert line.startswith("timestamp='20")
    for part in ("level='info'", "event='answered'", "service='echo'", "request_id='r1'", "seconds=0.5"):
        assert part in line


def test_what_is_less_grave_than_the_level_is_left_out(tmp_path: Path) -> None:
    logs.configure("echo", directory=tmp_path, level="WARNING")

    logs.logger().info("quiet")
    logs.logger().warning("loud")

    assert [line for line in lines(tmp_path) if "quiet" in line] == []
    assert len(lines(tmp_path)) == 1


def test_a_bug_leaves_its_traceback(tmp_path: Path) -> None:
    logs.configure("echo", directory=tmp_path, level="INFO")

    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        logs.logger().exception("handler failed", request_id="r1")

    text = "\n".join(lines(tmp_path))
    assert "Traceback (most recent call last)" in text
    assert "ZeroDivisionError: a bug" in text


def test_libraries_log_to_the_same_file(tmp_path: Path) -> None:
    logs.configure("echo", directory=tmp_path, level="INFO")

    logging.getLogger("a.library").warning("from outside")

    assert "event='from outside'" in lines(tmp_path)[0]


def test_configuring_again_moves_to_the_new_file(tmp_path: Path) -> None:
    logs.configure("one", directory=tmp_path, level="INFO")
    logs.configure("two", directory=tmp_path, level="INFO", rotate=False)

    logs.logger().info("here")

    assert lines(tmp_path, "one") == []
    assert len(lines(tmp_path, "two")) == 1


def test_a_job_process_follows_the_file_when_its_front_rotates_it(tmp_path: Path) -> None:
    logs.configure("echo", directory=tmp_path, level="INFO", rotate=False)
    logs.logger().info("before")
    (tmp_path / "echo_service.log").rename(tmp_path / "echo_service.log.1")

    logs.logger().info("after")

    assert "after" in lines(tmp_path)[0]


def test_a_directory_that_cannot_be_written_is_a_sentence_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match=r"cannot write logs to .*; set EVOLVE_LOG_DIR to a writable directory"):
        logs.configure("echo", directory=tmp_path / "file" / "logs", level="INFO")


def test_without_a_service_it_logs_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(None, directory=None, level="INFO")

    logs.logger().info("for the user")

    assert "for the user" in capsys.readouterr().err
