"""`evolve data`: fetch from a service, look, check, remove. Real commands against a server that answers as Tiingo does."""

import json

import pytest

from data_services import KEY, prices, reply, serving
from evolve.cli import main

DAYS = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"]
SPAN = ["--from", DAYS[0], "--to", DAYS[-1]]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOLVE_HOME", str(tmp_path))
    monkeypatch.setenv("TIINGO_API_KEY", KEY)
    return tmp_path


class Tiingo:
    def __init__(self):
        self.days = DAYS
        self.factor = 1.0

    def __call__(self, asked):
        if not asked.path.endswith("/prices"):
            return reply({"ticker": "ACME", "startDate": "2024-01-02", "endDate": "2099-01-01"})
        rows = zip(DAYS, prices(len(DAYS)), strict=True)
        return reply(
            [
                {"date": f"{day}T00:00:00.000Z", "divCash": 0.0, "splitFactor": 1.0, "adjVolume": row[4]}
                | {
                    name: value * self.factor
                    for name, value in zip(("adjOpen", "adjHigh", "adjLow", "adjClose"), row, strict=False)
                }
                for day, row in rows
                if day in self.days and asked.query["startDate"] <= day <= asked.query["endDate"]
            ]
        )


@pytest.fixture
def service(home, monkeypatch):
    with serving(Tiingo()) as server:
        monkeypatch.setenv("EVOLVE_TIINGO_URL", server.url)
        yield server


def run(capsys, *words):
    code = main(["data", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def fetch(capsys, *words):
    return run(capsys, "fetch", "ACME", "--source", "tiingo", "--anew", *words)


def test_fetched_bars_are_kept_shown_checked_and_removed(service, capsys):
    code, out, err = fetch(capsys, *SPAN)
    assert code == 0
    assert "fetched 6 bars of ACME at 1d from tiingo, 2024-01-02 to 2024-01-09" in out
    assert "6 bars" in err  # progress
    assert KEY not in out + err

    code, out, _ = run(capsys, "show", "ACME", "--json")
    shown = json.loads(out)
    assert shown["card"]["bars"] == 6
    assert shown["provenance"]["adjusted"] == "splits and dividends"
    assert shown["available_at"] == "2024-01-09T22:30:00Z"  # 16:00 New York and an hour and a half
    assert KEY not in out

    code, out, _ = run(capsys, "check", "ACME", "--json")
    assert (code, json.loads(out)["verdict"]) == (0, "good")

    code, out, _ = run(capsys, "remove", "ACME", "--json")
    assert json.loads(out) == [{"symbol": "ACME", "timeframe": "1d"}]
    assert "ACME" not in run(capsys, "list", "--json")[1]


def test_a_later_fetch_joins_what_is_kept(service, capsys):
    fetch(capsys, "--from", DAYS[0], "--to", DAYS[3])
    code, out, _ = fetch(capsys, "--from", DAYS[3], "--to", DAYS[-1])

    assert code == 0
    assert "with those kept before: 6 bars, 2024-01-02 to 2024-01-09" in out


def test_bars_that_no_longer_agree_are_not_given_up_without_a_word(service, capsys):
    """After a split the source's whole history is another."""
    fetch(capsys, "--from", DAYS[0], "--to", DAYS[3])
    service.answer.factor = 0.5

    code, _, err = fetch(capsys, "--from", DAYS[2], "--to", DAYS[-1])
    assert code == 1
    assert "do not agree with the new ones" in err
    assert "--replace" in err
    assert fetch(capsys, "--from", DAYS[0], "--to", DAYS[-1])[0] == 0  # covers all of the old
    assert fetch(capsys, "--from", DAYS[2], "--to", DAYS[-1], "--replace")[0] == 0
    assert json.loads(run(capsys, "show", "ACME", "--json")[1])["card"]["bars"] == 4


def test_a_truncated_answer_is_refused_until_gaps_are_accepted(service, capsys):
    service.answer.days = DAYS[:-1]

    code, _, err = fetch(capsys, *SPAN)
    assert code == 1
    assert "tiingo sent fewer 1d bars of ACME than us_equity traded: bars end on 2024-01-08" in err
    assert fetch(capsys, *SPAN, "--allow-gaps")[0] == 0


def test_a_service_there_is_none_of_is_named(home, capsys):
    code, _, err = run(capsys, "fetch", "ACME", "--source", "nasdaq")
    assert code == 1
    assert "use one of alpaca, ccxt, polygon, stooq, tiingo, yfinance" in err


@pytest.mark.parametrize(("first", "last"), [("2024-02-01", "2024-01-01"), ("yesterday", "2024-01-01")])
def test_a_span_that_is_none_is_refused(home, capsys, first, last):
    assert run(capsys, "fetch", "ACME", "--source", "tiingo", "--from", first, "--to", last)[0] == 1


def csv_of(rows):
    return "Date,Open,High,Low,Close,Volume\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n"


def test_bad_data_is_reported_with_a_chart_and_an_exit_code(home, capsys, tmp_path):
    rows = [[day, *row] for day, row in zip(DAYS, prices(len(DAYS)), strict=True)]
    rows[3][1:5] = [value * 100 for value in rows[3][1:5]]
    (tmp_path / "acme.csv").write_text(csv_of(rows))

    code, out, _ = run(capsys, "import", str(tmp_path / "acme.csv"), "--symbol", "ACME")
    assert code == 0
    assert "BAD DATA: 2024-01-05 closes at" in out
    picture = tmp_path / "acme.png"
    code, out, _ = run(capsys, "check", "ACME", "--png", str(picture))
    assert code == 1
    assert "BAD: figures on these bars mean nothing" in out
    assert "growth of 1" in out  # the chart
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_bundled_sample_is_whole(home, capsys):
    """AAPL's daily bars from 2000 to 2013 lack not one session of New York's."""
    code, out, _ = run(capsys, "check", "AAPL", "--json")
    report = json.loads(out)["report"]
    assert code == 0
    assert (report["bars"], report["expected"], report["missing"]) == (3270, 3270, 0)
