"""arXiv's search against a server that speaks its protocol: Atom, pages, withdrawals, and XML that is not whole or not harmless."""

from __future__ import annotations

import pytest

from data_services import HTML, Reply, Waits, serving
from evolve.errors import BadAnswer, DataUnavailable, InvalidRequest, Unavailable
from evolve.research.arxiv import arxiv_id_in, paper_of, record_of, search_papers
from evolve.research.text import licence_named
from research_services import ATOM, arxiv, entry, feed, outside, record


def search(service, home, wanted=10, query="momentum trading", category="q-fin.TR", **more):
    return search_papers(outside(home, more.pop("waits", None), arxiv_url=service.url, **more), query, wanted, category)


def test_what_arxiv_says_of_a_paper_is_kept(tmp_path):
    given = entry(
        7,
        id="http://arxiv.org/abs/2101.00007v3",
        title="Über  Trägheit\n in Märkten",
        author="Émile Borel",
        journal="J. Fin. 1",
    )
    with serving(arxiv([given])) as service:
        (paper,) = search(service, tmp_path).items

    assert (paper.arxiv_id, paper.version, paper.title) == ("2101.00007", 3, "Über Trägheit in Märkten")
    assert (paper.authors, paper.categories, paper.journal_ref) == (("Émile Borel",), ("q-fin.TR",), "J. Fin. 1")
    assert (paper.url, paper.pdf_url) == ("http://arxiv.org/abs/2101.00007v3", "http://arxiv.org/pdf/2101.00007v1")
    assert service.asked[0].query["search_query"] == "all:momentum AND all:trading AND cat:q-fin.TR"


def test_words_of_the_query_cannot_become_operators(tmp_path):
    with serving(arxiv([])) as service:
        search(service, tmp_path, query='x" OR cat:cs.* (ANDNOT)', category="")
    assert service.asked[0].query["search_query"] == "all:x AND all:cat AND all:cs AND all:ANDNOT"


def test_thirty_pages_are_read_at_arxivs_own_pace(tmp_path):
    waits = Waits()
    entries = [entry(number) for number in range(300)]
    with serving(arxiv(entries, at_most=10)) as service:
        found = search(service, tmp_path, 300, waits=waits, research_limit_s=300)

    assert len(service.asked) == 30
    assert [paper.arxiv_id for paper in found.items] == [f"2101.{number:05}" for number in range(300)]
    assert sum(waits.seconds) == pytest.approx(29 * 3)


def test_what_the_time_limit_leaves_is_given_and_said(tmp_path):
    entries = [entry(number) for number in range(300)]
    with serving(arxiv(entries, at_most=10)) as service:
        found = search(service, tmp_path, 300, research_limit_s=20)

    assert len(found.items) == 70  # 20 s hold seven requests three seconds apart
    assert "only the first 70 of 300" in found.note
    assert "EVOLVE_RESEARCH_LIMIT_S" in found.note


def test_an_empty_page_in_the_middle_ends_the_search_with_a_note(tmp_path):
    with serving(lambda asked: feed([entry(1)] if asked.query["start"] == "0" else [], 50)) as service:
        found = search(service, tmp_path, 20)
    assert (len(found.items), found.note) == (1, "only 1 of 50: the service gave an empty page")


@pytest.mark.parametrize(
    "changed",
    [
        {"comment": "This paper has been withdrawn by the authors due to an error"},
        {"summary": "Withdrawn: the proof is wrong."},
    ],
)
def test_a_withdrawn_paper_is_marked(tmp_path, changed):
    with serving(arxiv([entry(1, **changed), entry(2, summary="Funds withdrawn early.")])) as service:
        assert [paper.withdrawn for paper in search(service, tmp_path).items] == [True, False]


BOMB = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><feed xmlns="http://www.w3.org/2005/Atom">&b;</feed>'
READS = b'<?xml version="1.0"?><!doctype x SYSTEM "file:///etc/passwd"><feed xmlns="http://www.w3.org/2005/Atom"/>'


@pytest.mark.parametrize(
    "body",
    [
        feed([entry(1)]).body[:-40],
        HTML,
        b"",
        BOMB,
        READS,
        BOMB.decode().encode("utf-16"),
        b"<other/>",
        feed([entry(1, id="nothing")]).body,
    ],
    ids=["truncated", "HTML", "empty", "entities", "external", "utf-16", "no feed", "no id"],
)
def test_an_answer_that_is_no_whole_harmless_feed_is_named(tmp_path, body):
    with serving(lambda asked: Reply(body, content_type=ATOM)) as service, pytest.raises(BadAnswer):
        search(service, tmp_path)


def test_arxivs_own_error_entry_is_a_refusal_of_the_query(tmp_path):
    error = entry(1, id="http://arxiv.org/api/errors#incorrect", title="Error", summary="incorrect id format")
    with serving(lambda asked: Reply(feed([error]).body, 400, ATOM)) as service:
        with pytest.raises(InvalidRequest, match="incorrect id format"):
            search(service, tmp_path)
        with pytest.raises(InvalidRequest, match="no words"):
            search(service, tmp_path, query="— … !")


def test_a_connection_cut_in_the_middle_is_no_answer(tmp_path):
    cut = Reply(feed([entry(1)]).body, content_type=ATOM, cut=True)
    with serving(lambda asked: cut) as service, pytest.raises(Unavailable, match="hung up"):
        search(service, tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2101.00001", "2101.00001"), ("arXiv:2101.00001v2", "2101.00001"), ("https://arxiv.org/abs/2101.00001v1", "2101.00001"),
        ("https://arxiv.org/pdf/2101.00001.pdf", "2101.00001"), ("q-fin/0501001", "q-fin/0501001"),
        ("https://evil.example/abs/2101.00001", None), ("momentum 2101.00001", None),
    ],
)  # fmt: skip
def test_an_arxiv_id_is_recognised(text, found):
    assert arxiv_id_in(text) == found


def test_one_paper_is_asked_for_by_its_id(tmp_path):
    with serving(arxiv([entry(5)])) as service:
        paper = paper_of(outside(tmp_path, arxiv_url=service.url), "2101.00005")
    assert paper is not None
    assert service.asked[0].query["id_list"] == "2101.00005"


def test_licence_and_versions_are_read_from_arxivs_records(tmp_path):
    raw = record(
        "2101.00005", "http://arxiv.org/licenses/nonexclusive-distrib/1.0/", ["Fri, 1 Jan 2021 10:00:00 GMT", "soon"]
    )
    with serving(arxiv([], records=[raw])) as service:
        desk = outside(tmp_path, arxiv_url=service.url)
        found = record_of(desk, "2101.00005")
        assert service.asked[0].query == {
            "verb": "GetRecord",
            "identifier": "oai:arXiv.org:2101.00005",
            "metadataPrefix": "arXivRaw",
        }
        with pytest.raises(DataUnavailable, match="idDoesNotExist"):
            record_of(desk, "2101.00099")
    assert found.versions == ("v1 2021-01-01", "v2 soon")
    assert licence_named(found.licence).startswith("arXiv's licence to distribute 1.0, all other rights reserved (")
    assert licence_named("http://creativecommons.org/publicdomain/zero/1.0/").startswith("CC0 1.0")
    assert licence_named("MIT") == "MIT"


@pytest.mark.parametrize("body", [HTML, b"<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'><GetRec", b"<feed/>"])
def test_a_record_that_is_none_is_named(tmp_path, body):
    with serving(lambda asked: Reply(body, content_type="text/xml")) as service, pytest.raises(BadAnswer):
        record_of(outside(tmp_path, arxiv_url=service.url), "2101.00005")
