"""GitHub's search against a server that speaks its protocol: pages, pace, refusals, and answers that are none."""

from __future__ import annotations

import pytest

from data_services import HTML, NOON, Reply, Waits, reply, serving
from evolve.errors import BadAnswer, DataUnavailable, Forbidden, InvalidRequest, RateLimited, Unavailable
from evolve.research.github import readme_of, search_repositories
from research_services import github, outside, repository


def search(service, home, wanted=10, *, waits=None, language="python", **settings):
    return search_repositories(
        outside(home, waits, github_url=service.url, **settings), "trading bot", wanted, language
    )


def test_what_github_says_of_a_repository_is_kept(tmp_path):
    with serving(github([repository(3)])) as service:
        found = search(service, tmp_path)

    (one,) = found.items
    assert (one.full_name, one.stars, one.language, one.licence) == ("owner3/bot-3", 30, "Python", "MIT")
    assert (one.pushed_at, one.topics, found.total, found.note) == ("2024-01-01T00:00:00Z", ("trading",), 1, "")
    assert service.asked[0].query["q"] == "trading bot language:python"
    assert "authorization" not in service.asked[0].headers


def test_a_token_is_sent_and_shows_up_nowhere(tmp_path):
    with serving(lambda asked: reply({"message": "Bad credentials of sesame-1234567890"}, 401)) as service:
        with pytest.raises(Forbidden, match="GITHUB_TOKEN") as caught:
            search(service, tmp_path, github_token="sesame-1234567890")
        assert service.asked[0].headers["authorization"] == "Bearer sesame-1234567890"

    assert "sesame" not in caught.value.message


def test_pages_are_fetched_until_there_are_enough(tmp_path):
    with serving(github([repository(n) for n in range(1, 251)])) as service:
        found = search(service, tmp_path, 230)

    assert [asked.query["page"] for asked in service.asked] == ["1", "2", "3"]
    assert [each.full_name for each in found.items] == [f"owner{n}/bot-{n}" for n in range(1, 231)]


def test_no_more_is_asked_for_than_github_gives_of_one_search(tmp_path):
    items = [repository(n) for n in range(1, 101)]
    with serving(lambda asked: reply({"total_count": 50_000, "items": items})) as service:
        found = search(service, tmp_path, 1000, waits=Waits())

    assert len(found.items) == 1000
    assert len(service.asked) == 10


def test_the_same_search_is_not_asked_again_within_the_hour_and_confirmed_by_its_etag_after_it(tmp_path):
    def answer(asked):
        if asked.headers.get("if-none-match") == '"v1"':
            return Reply(b"", 304)
        return reply({"total_count": 1, "items": [repository(1)]}, headers={"ETag": '"v1"'})

    waits = Waits()
    with serving(answer) as service:
        first = search(service, tmp_path, waits=waits)
        again = search(service, tmp_path, waits=waits)
        assert len(service.asked) == 1
        waits.clock.advance(4000)
        later = search(service, tmp_path, waits=waits)

    assert len(service.asked) == 2
    assert [each.full_name for each in first.items] == [each.full_name for each in later.items]
    assert (first.as_of, again.as_of) == (NOON, NOON)
    assert later.as_of > NOON + 4000 - 1


@pytest.mark.parametrize("status", [403, 429])
def test_an_allowance_used_up_is_obeyed_by_the_next_search_too(tmp_path, status):
    waits = Waits()
    limited = reply(
        {"message": "API rate limit exceeded"}, status, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOON) + 900)}
    )  # fmt: skip
    with serving(lambda asked: limited) as service:
        with pytest.raises(RateLimited, match=r"in 900 s"):
            search(service, tmp_path, waits=waits)
        asked = len(service.asked)
        with pytest.raises(RateLimited, match="asked not to be asked before 2024-01-10T12:15:00Z"):
            search(service, tmp_path, waits=waits)
        assert len(service.asked) == asked == 1

        waits.clock.advance(901)
        service.answer = github([repository(1)])
        assert len(search(service, tmp_path, waits=waits).items) == 1


def test_the_limit_on_abuse_without_a_header_means_a_minute(tmp_path):
    abuse = reply({"message": "You have exceeded a secondary rate limit."}, 403)
    with serving(lambda asked: abuse) as service, pytest.raises(RateLimited) as caught:
        search(service, tmp_path)
    assert caught.value.details["retry_after_s"] == 60


def test_a_short_wait_that_is_asked_for_is_waited(tmp_path):
    waits = Waits()
    replies = [
        reply({"message": "slow down"}, 403, headers={"Retry-After": "5"}),
        reply({"total_count": 1, "items": [repository(1)]}),
    ]
    with serving(lambda asked: replies.pop(0)) as service:
        assert len(search(service, tmp_path, waits=waits).items) == 1
    assert 5 <= sum(waits.seconds) < 6


@pytest.mark.parametrize(
    "answer",
    [
        Reply(HTML, content_type="text/html"),
        Reply(b'{"total_count": 3, "items": [{"full'),
        reply([1, 2]),
        reply({"total_count": 1, "items": [{"name": "nameless"}]}),
        Reply(b"", 302, headers={"Location": "http://127.0.0.1:9/"}),
    ],
    ids=["HTML", "half", "another shape", "no name", "redirect"],
)
def test_an_answer_that_is_none_is_named(tmp_path, answer):
    with serving(lambda asked: answer) as service, pytest.raises(BadAnswer):
        search(service, tmp_path)


def test_a_server_in_trouble_is_asked_three_times(tmp_path):
    with serving(lambda asked: reply({}, 502)) as service, pytest.raises(Unavailable, match="502"):
        search(service, tmp_path)
    assert len(service.asked) == 3


def test_a_page_that_fails_leaves_the_ones_before_it_and_says_so(tmp_path):
    whole = github([repository(n) for n in range(1, 251)])
    with serving(lambda asked: whole(asked) if asked.query["page"] == "1" else reply({}, 500)) as service:
        found = search(service, tmp_path, 250)

    assert len(found.items) == 100
    assert "only the first 100 of 250" in found.note


def test_a_query_that_github_refuses_is_the_askers_to_mend(tmp_path):
    with serving(lambda asked: reply({"message": "Validation Failed"}, 422)) as service, pytest.raises(InvalidRequest):
        search(service, tmp_path)


def test_search_that_ran_out_of_time_is_marked(tmp_path):
    with serving(github([repository(1)], incomplete=True)) as service:
        assert "there may be more" in search(service, tmp_path).note


def test_words_of_all_languages_and_half_a_surrogate_pair_are_kept_as_text(tmp_path):
    body = (
        '{"total_count": 1, "items": [{"full_name": "a/b", "description": "量化交易 – Itô \\ud83d broken\\n\\u0000"}]}'
    )
    with serving(lambda asked: Reply(body.encode())) as service:
        (one,) = search(service, tmp_path).items

    assert one.description.startswith("量化交易 – Itô ? broken")
    assert one.licence == "none stated"


def test_a_readme_is_text_and_its_absence_is_told(tmp_path):
    def answer(asked):
        if asked.path == "/repos/a/b/readme":
            return Reply(b"# Bot\n\nBuys.", content_type="application/vnd.github.raw+json; charset=utf-8")
        return reply({"message": "Not Found"}, 404)

    with serving(answer) as service:
        desk = outside(tmp_path, github_url=service.url)
        assert readme_of(desk, "a/b") == ("# Bot\n\nBuys.", "2024-01-10T12:00:00Z")
        with pytest.raises(DataUnavailable, match="a/none"):
            readme_of(desk, "a/none")
