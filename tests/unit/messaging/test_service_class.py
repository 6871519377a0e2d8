"""What a service class declares, and what constructing one does: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.errors import InvalidRequest
from evolve.messaging import embedded
from evolve.messaging.messages import Reply, Request
from evolve.messaging.service import Job, Service, handles, load_service
from services_under_test.echo import Echo, EchoService


def test_constructing_a_service_connects_to_nothing(home: Path) -> None:
    service = EchoService("localhost", 6379, 0)

    assert service.get_service_info()["running"] is False
    assert not home.exists()
    service.stop()
    assert not embedded.is_running(home)


def test_a_service_says_its_channels_and_requests(home: Path) -> None:
    info = EchoService().get_service_info()

    assert info["name"] == "echo"
    assert info["channels"] == {"input": "echo_input", "output": "echo_output", "control": "echo_control"}
    assert "slow_echo" in info["requests"]


def test_an_argument_is_where_the_service_connects_to(home: Path) -> None:
    assert EchoService(redis_host="host", redis_port=7, redis_db=2).settings.redis_host == "host"


def test_a_handler_must_take_a_request() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.answer must take a Request"):

        class Wrong(Service):
            @handles
            def answer(self, request: str, job: Job) -> Reply:
                return Reply()


def test_a_service_inherits_handlers_and_may_add_its_own() -> None:
    class More(EchoService):
        name = "more"

    assert More.handlers.keys() == EchoService.handlers.keys()
    assert More.handlers["echo"].request is Echo


@pytest.mark.parametrize(
    "path", ["no.such.module:Class", "services_under_test.echo:Missing", "services_under_test.echo:Echo"]
)
def test_a_path_that_is_no_service_is_named(path: str) -> None:
    with pytest.raises(InvalidRequest, match=path):
        load_service(path)


def test_set_up_runs_once_before_the_first_request() -> None:
    class Pinged(Reply):
        count: int

    class Ping(Request[Pinged]):
        pass

    class Counting(Service):
        name = "counting"
        set_ups = 0

        def setup(self) -> None:
            self.set_ups += 1

    service = Counting()
    assert service.set_ups == 0
    with pytest.raises(KeyError):
        service.handle(Ping(), None)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        service.handle(Ping(), None)  # type: ignore[arg-type]
    assert service.set_ups == 1
