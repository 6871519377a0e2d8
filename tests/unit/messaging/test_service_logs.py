"""One log file per service, every line with the request it belongs to."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections import Counter
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
    logs.configure("two", directory=tmp_path, level="INFO")

    logs.logger().info("here")

    assert lines(tmp_path, "one") == []
    assert len(lines(tmp_path, "two")) == 1


def test_a_process_follows_the_file_when_another_moved_it_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOOK_S", 0.0)
    logs.configure("echo", directory=tmp_path, level="INFO")
    logs.logger().info("before")
    (tmp_path / "echo_service.log").rename(tmp_path / "echo_service.log.1")

    logs.logger().info("after")

    assert "after" in lines(tmp_path)[0]


WRITER = """
import sys
from pathlib import Path
from evolve import logs
logs.MAX_BYTES, logs.KEPT, logs.LOOK_BYTES = 100_000, 1_000, 5_000
logs.configure("echo", directory=Path(sys.argv[1]), level="INFO", form="json")
log = logs.logger(writer=sys.argv[2])
for number in range(int(sys.argv[3])):
    log.info("line", number=number, padding="é" * 50)
"""


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.prove)])
def test_four_processes_that_share_a_file_and_rotate_it_lose_and_tear_no_line(tmp_path: Path, count: int) -> None:
    """It is moved aside a dozen times, or a hundred, by whoever finds it full, while the others write."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name, str(count)]) for name in "abcd"]
    assert [writer.wait(100) for writer in writers] == [0, 0, 0, 0]

    files = sorted(tmp_path.glob("echo_service.log*"))
    written = Counter(
        (found["writer"], found["number"])
        for file in files
        for line in file.read_bytes().splitlines()
        if (found := json.loads(line))["padding"] == "é" * 50
    )
    assert written == Counter((name, number) for name in "abcd" for number in range(count))
    assert len(files) > count / 200
    assert max(file.stat().st_size for file in files) < 200_000


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_of_a_request_says_which_also_a_librarys(tmp_path: Path, form: logs.LogFormat) -> None:
    logs.configure("echo", directory=tmp_path, level="INFO", form=form)

    with logs.about("r1"):
        logs.logger().info("ours")
        logging.getLogger("a.library").warning("theirs")
        logs.logger().info("another's", request_id="r2")
    logs.logger().info("nobody's")

    told = {str(line["event"]): line.get("request_id") for line in logs.read(tmp_path)}
    assert told == {"ours": "r1", "theirs": "r1", "another's": "r2", "nobody's": None}


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_line_holds_a_secret_whoever_writes_it(tmp_path: Path, form: logs.LogFormat) -> None:
    key = "sk-'quoted\\and\nbroken"
    logs.configure("echo", directory=tmp_path, level="INFO", form=form, secrets=(key, "short"))

    logs.logger().warning("refused", error=f"key {key} is not valid", short="short")
    logging.getLogger("a.library").warning("connecting to postgresql://me:hunter2@db/evolve")

    text = "\n".join(lines(tmp_path))
    assert "quoted" not in text
    assert "hunter2" not in text
    assert text.count("[redacted]") == 2
    assert "//[redacted]@db/evolve" in text
    assert "short" in text  # too short to be told from words


def test_only_so_many_old_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 100)
    monkeypatch.setattr(logs, "LOOK_S", 0.0)
    logs.configure("echo", directory=tmp_path, level="INFO")

    for number in range(50):
        logs.logger().info("line", number=number)

    assert sorted(file.suffix for file in tmp_path.glob("echo_service.log*")) == [".1", ".2", ".3", ".4", ".5", ".log"]


def test_a_directory_that_cannot_be_written_is_a_sentence_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(Unavailable, match=r"cannot write logs to .*; set EVOLVE_LOG_DIR to a writable directory"):
        logs.configure("echo", directory=tmp_path / "file" / "logs", level="INFO")


def test_without_a_service_it_logs_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(None, directory=None, level="INFO")

    logs.logger().info("for the user")

    assert "for the user" in capsys.readouterr().err
