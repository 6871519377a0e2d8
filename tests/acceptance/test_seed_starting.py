"""Does starting, stopping and watching the services work as seed.md shows? By the manager, by hand, and by both at once."""

from __future__ import annotations

import json
import os
import signal
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from seed_blocks import ROOT, block
from seed_system import SERVICES, System, eventually, new_system

from evolve.client.client import ServiceClient
from evolve.manager.manager import ServiceManager
from evolve.messaging import embedded
from evolve.services import SERVICES as NAMES
from evolve.settings import Settings

of_one_run = pytest.mark.xdist_group("managed")  # where the block ran, its outputs are
in_one_home = pytest.mark.xdist_group("router")

MANAGER = "python service_manager.py --action"


@pytest.fixture(scope="module")
def managed():
    """The block "Using ServiceManager", line by line from inside services/, with looks from elsewhere in between."""
    system = new_system()
    start_all, start_one, status, stop_all = block("--action start-all").commands
    try:
        yield SimpleNamespace(
            system=system,
            before=system.json(status),
            start_all=system.json(start_all),
            start_one=system.json(start_one),
            status=system.json(status),
            from_the_checkout=system.json("python services/service_manager.py --action status", cwd=ROOT),
            from_elsewhere=system.json(f"python {SERVICES}/service_manager.py --action status", cwd=Path("/")),
            logs=sorted(path.name for path in (system.home / "logs").iterdir()),
            stop_all=system.json(stop_all),
            after=system.json(status),
        )
    finally:
        left = system.end()
    assert left == []


def pids(status: dict) -> dict[str, list[int]]:
    return {name: entry["pids"] for name, entry in status.items()}


@of_one_run
def test_before_anything_is_started_every_service_is_stopped(managed):
    assert {name: entry["status"] for name, entry in managed.before.items()} == dict.fromkeys(NAMES, "stopped")


@of_one_run
def test_start_all_returns_once_every_service_runs_in_a_process_of_its_own(managed):
    assert {entry["status"] for entry in managed.start_all.values()} == {"running"}
    processes = [pid for each in pids(managed.start_all).values() for pid in each]
    assert len(processes) == len(set(processes)) == len(NAMES)


@of_one_run
def test_starting_a_service_that_runs_starts_nothing_twice(managed):
    assert pids(managed.start_one) == {"model_builder": pids(managed.start_all)["model_builder"]}


@of_one_run
def test_a_later_status_sees_what_start_all_started(managed):
    assert pids(managed.status) == pids(managed.start_all)


@of_one_run
def test_status_is_the_same_from_any_directory(managed):
    assert pids(managed.from_the_checkout) == pids(managed.from_elsewhere) == pids(managed.status)


@of_one_run
def test_status_says_state_processes_uptime_restarts_and_log_of_each_service(managed):
    for name, entry in managed.status.items():
        assert set(entry) == {"status", "pids", "uptime_s", "restarts", "log"}
        assert entry["uptime_s"] > 0
        assert entry["log"] == str(managed.system.home / "logs" / f"{name}_service.log")


@of_one_run
def test_each_service_writes_its_own_log_file(managed):
    assert {f"{name}_service.log" for name in NAMES} <= set(managed.logs)


@of_one_run
def test_stop_all_stops_what_an_earlier_call_started(managed):
    for status in (managed.stop_all, managed.after):
        assert {(entry["status"], *entry["pids"]) for entry in status.values()} == {("stopped",)}


def test_the_default_log_directory_is_the_checkouts_own():
    assert Settings(log_dir=None).logs == ROOT / "logs"


# --- launched by hand ---


def launched(system: System, service: str = "model_builder", **environment: str):
    """A service in the foreground, once it answers."""
    process = system.launch(f"launch_{service}.py", extra=environment)
    with ServiceManager(settings=system.settings) as manager:
        eventually(lambda: manager.get_service_status(service)[service]["status"] == "running" or process.poll())
    assert process.poll() is None, process.communicate()[1]
    return process


def test_the_launchers_of_the_specification_exist_for_every_service():
    lines = block("python launch_model_builder.py\npython launch_performance_critic.py").commands
    launchers = {path.name for path in SERVICES.glob("launch_*.py")}
    assert launchers == {f"launch_{name}.py" for name in NAMES}
    assert {line.split()[1] for line in lines} <= launchers


def test_a_launcher_runs_its_service_in_the_foreground_and_sigterm_ends_it_with_0(fresh, gently):
    processes = {service: fresh.launch(f"launch_{service}.py") for service in NAMES}
    with ServiceManager(settings=fresh.settings) as manager:

        def states() -> set[str]:
            return {entry["status"] for entry in manager.get_service_status().values()}

        eventually(lambda: states() == {"running"} or any(process.poll() for process in processes.values()))

        assert {service: gently(process) for service, process in processes.items()} == dict.fromkeys(NAMES, 0)
        assert states() == {"stopped"}
    said = {service: process.communicate()[1] for service, process in processes.items()}
    assert [
        service for service in NAMES if f"{service}_input" not in said[service]
    ] == []  # where it answers, on stderr


def test_sigterm_lets_the_work_in_hand_finish_and_its_reply_is_kept(fresh, gently):
    process = launched(fresh, EVOLVE_DRAIN_S="60")  # as long as a busy machine may need for the work
    with ServiceClient(settings=fresh.settings) as client:
        asked = client.send_request(
            "model_builder",
            "build_model",
            {"model_type": "ridge", "symbol": "MSFT", "timeframe": "1d"},
            wait_for_response=False,
        )
        eventually(lambda: client.get_service_status("model_builder")["replicas"][0]["in_flight"])

        assert gently(process) == 0
        assert client.get_reply(asked["request_id"])["type"] == "model_built"


def test_a_service_launched_by_hand_is_seen_and_stopped_by_the_manager(fresh):
    process = launched(fresh, "prompt_router")

    assert fresh.json(f"{MANAGER} status")["prompt_router"]["pids"] == [process.pid]
    assert fresh.json(f"{MANAGER} stop --service prompt_router")["prompt_router"]["status"] == "stopped"
    assert process.wait(5) == 0


def test_down_also_ends_what_was_launched_by_hand(fresh):
    process = launched(fresh, "prompt_router")

    done = fresh.shell("evolve down")

    assert "prompt_router" in done.stdout
    assert process.wait(5) == 0


# --- what the manager is for ---


@pytest.fixture(scope="module")
def router():
    """A home in which one service runs, which each of these tests leaves running."""
    system = new_system()
    try:
        system.json(f"{MANAGER} start --service prompt_router")
        yield system
    finally:
        left = system.end()
    assert left == []


@in_one_home
def test_no_server_needs_to_be_installed_or_started_first(router):
    server = router.json("evolve status --json")["server"]
    assert server == f"redis-cli -s {router.home}/redis/valkey.sock"


@in_one_home
def test_what_has_no_heavy_work_is_spared_the_process_that_is_kept_warm_for_it(router):
    assert not (router.home / "logs" / "job_server.log").exists()


@in_one_home
def test_restart_replaces_the_process(router):
    [first] = router.json(f"{MANAGER} start --service prompt_router")["prompt_router"]["pids"]
    [second] = router.json(f"{MANAGER} restart --service prompt_router")["prompt_router"]["pids"]
    assert first != second


@in_one_home
def test_a_service_that_was_killed_is_started_again(router):
    with ServiceManager(settings=router.settings) as manager:
        before = manager.get_service_status("prompt_router")["prompt_router"]
        [first] = before["pids"]
        os.kill(first, signal.SIGKILL)

        def replaced():
            now = manager.get_service_status("prompt_router")["prompt_router"]
            return now if now["status"] == "running" and now["pids"] != [first] and first not in now["pids"] else None

        assert eventually(replaced)["restarts"] == before["restarts"] + 1
    assert "replica crashed" in (router.home / "logs" / "supervisor_service.log").read_text()


@in_one_home
def test_the_manager_is_a_class_too(router):
    printed = router.python(
        "from services.service_manager import ServiceManager\n"
        "manager = ServiceManager()\n"
        "print(manager.send_message('prompt_router', 'detect_intent', {'user_prompt': 'Analyze MSFT'})['type'])\n"
        "print(manager.get_manager_stats()['running_services'])\n"
        "print(manager.stop_service('prompt_router')['prompt_router']['status'])\n"
        "print(manager.start_service('prompt_router')['prompt_router']['status'])\n"
        "manager.close()\n"
    )
    assert printed.split() == ["intent_detected", "1", "stopped", "running"]


@in_one_home
def test_two_replicas_of_a_service_run_side_by_side(router):
    status = router.json(f"{MANAGER} start --service prompt_router --replicas 2")
    assert len(set(status["prompt_router"]["pids"])) == 2


@in_one_home
def test_an_unknown_service_is_an_error_that_names_the_nearest(router):
    answer = router.json(f"{MANAGER} start --service model_bilder", code=1)
    assert (answer["code"], "model_builder" in answer["error"]) == ("unknown_service", True)


def test_what_was_sent_while_a_service_was_down_is_answered_when_it_comes_back(fresh):
    """By a client, and by hand on the channel (the supervisor bridges stopped services too); the server restarts meanwhile."""
    fresh.json(f"{MANAGER} start --service prompt_router")
    fresh.json(f"{MANAGER} stop --service prompt_router")
    by_hand = {"type": "detect_intent", "data": {"user_prompt": "Should I buy AAPL now?"}, "request_id": "by-hand-1"}
    with ServiceClient(settings=fresh.settings) as client:
        asked = client.send_request(
            "prompt_router", "detect_intent", {"user_prompt": "Analyze BTCUSDT"}, wait_for_response=False
        )
        heard = fresh.shell(f"evolve bus publish prompt_router_input '{json.dumps(by_hand)}'").stdout
        assert int(heard) >= 1
        eventually(lambda: client.get_service_status("prompt_router")["queued"] == 2)
    assert fresh.shell("evolve down").returncode == 0  # the server too: what is queued is on disk

    fresh.json(f"{MANAGER} start --service prompt_router")

    with ServiceClient(settings=fresh.settings) as client:
        for request_id, intent in ((asked["request_id"], "market_analysis"), ("by-hand-1", "trading_signal")):
            reply = eventually(lambda request_id=request_id: client.get_reply(request_id, "prompt_router"))
            assert reply["result"]["intent"] == intent


# --- mistakes ---


@pytest.mark.parametrize("wrong", ["", "--action begin", "--action start"])
def test_wrong_usage_exits_with_2_and_says_what_is_right(wrong, fresh):
    done = fresh.shell(f"python service_manager.py {wrong}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--action" in done.stderr
    assert "Traceback" not in done.stderr


# --- set-up ---


def bare_checkout(where: Path) -> Path:
    """services/ and utils/ copied beside no environment."""
    for folder in ("services", "utils"):
        (where / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob("*.py"):
            (where / folder / path.name).write_bytes(path.read_bytes())
    return where


def bare_python(*words: str, cwd: Path):
    """Run Python without its site-packages: one where Evolve is not installed."""
    import subprocess

    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-S", *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("script", sorted(path.name for path in SERVICES.glob("[a-z]*.py") if "__main__" in path.read_text()))  # fmt: skip
def test_a_python_without_evolve_gets_one_sentence(script, tmp_path):
    done = bare_python(f"services/{script}", cwd=bare_checkout(tmp_path))

    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "make setup" in done.stderr


@pytest.mark.parametrize("line", ["from services.service_client import ServiceClient", "import services.quant_gpt"])
def test_an_import_where_evolve_is_not_installed_gets_one_sentence(line, tmp_path):
    done = bare_python("-c", line, cwd=bare_checkout(tmp_path))

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "make setup" in done.stderr


def test_a_python_without_evolve_hands_over_to_the_checkouts_own_environment(tmp_path):
    checkout = bare_checkout(tmp_path)
    own = checkout / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text('#!/bin/sh\necho "its own python: $*"\n')
    own.chmod(0o755)

    done = bare_python("services/service_manager.py", "--action", "status", cwd=checkout)

    assert done.stdout == "its own python: services/service_manager.py --action status\n"


def test_requirements_txt_installs_evolve_and_with_it_redis():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "-e ." in lines
    assert any(requirement.startswith("redis") for requirement in project["dependencies"])


def test_the_embedded_server_is_private_to_its_user_and_writes_every_change_to_disk(fresh):
    fresh.shell("evolve bus publish prompt_router_input '{}'")
    assert (fresh.home / "redis").stat().st_mode & 0o777 == 0o700
    with redis.Redis(unix_socket_path=str(embedded.socket_path(fresh.home))) as connection:
        assert connection.config_get("port") == {"port": "0"}  # nobody else's machine, nor another user of this one
        assert connection.config_get("appendonly") == {"appendonly": "yes"}
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
