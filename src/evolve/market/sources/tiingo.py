"""Tiingo: daily bars of US stocks with splits, dividends and the dates of listing and delisting, free with a key.

Source: https://www.tiingo.com/documentation/end-of-day (adjusted by CRSP's method: splits and dividends).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evolve.clock import iso
from evolve.errors import BadAnswer, RateLimited, UnknownSymbol
from evolve.market.bars import Bars
from evolve.market.provenance import Dividend, Provenance, Split
from evolve.market.sources.answers import Answer
from evolve.market.sources.assemble import Life, Row, Sent, assembled
from evolve.market.sources.base import DAY_MS, BarSpec, Progress, Span, unheard
from evolve.market.sources.line import Line, Question, json_of, no_key, refused
from evolve.market.sources.pace import Allowance
from evolve.market.sources.remote import dated_ms, default_span, listed, numbers, only

ALLOWANCE = Allowance(50, 3600.0)  # of a free account
DELAY_S = 1.5 * 3600  # "available at 5:30 PM EST"; corrections may follow until 8 PM
VARIABLE = "TIINGO_API_KEY"
WHERE = "https://www.tiingo.com/account/api/token"
ADJUSTED = ("adjOpen", "adjHigh", "adjLow", "adjClose", "adjVolume")
GONE_AFTER_DAYS = (
    10  # an active symbol's last date is at most a long weekend old; ten days without trading are a delisting
)


class Tiingo:
    """Daily bars of US stocks."""

    name = "tiingo"

    def __init__(self, line: Line, key: str | None, *, allow_gaps: bool = False) -> None:
        self._line = line
        self._key = key
        self._allow_gaps = allow_gaps

    def load(self, spec: BarSpec, span: Span | None = None, progress: Progress = unheard) -> Bars:
        """Daily or weekly bars. Raises what `sources.line` names."""
        only(self.name, spec, ("1d", "1w"), ("us_equity",))
        if not self._key:
            raise no_key(self.name, VARIABLE, WHERE)
        span = span or default_span(spec, self._line.clock.now())
        path = f"/tiingo/daily/{spec.symbol.replace('.', '-')}"
        secret = {"Authorization": f"Token {self._key}"}
        progress(0, 0.0)
        life = self._ask(Question(path, secret_headers=secret), spec, _life_of(self._line.as_of))
        prices = Question(
            f"{path}/prices", {"startDate": span.first, "endDate": span.last, "format": "json"}, secret_headers=secret
        )
        items = self._ask(prices, spec, lambda found: listed(found, self.name, self._line.shown(prices)))
        sent = Sent(self.name)
        sent.add([self._row(item) for item in items])
        progress(len(sent.rows), 1.0)
        provenance = Provenance(
            source=self.name,
            url=self._line.shown(prices),
            fetched_at=iso(self._line.as_of),
            venue="us_equity",
            adjusted="splits and dividends",
            asked_from=span.first,
            asked_to=span.last,
            delay_s=DELAY_S,
            tells_actions=True,
            splits=tuple(
                Split(item["date"][:10], item["splitFactor"]) for item in items if item.get("splitFactor", 1) != 1
            ),
            dividends=tuple(
                Dividend(item["date"][:10], item["divCash"]) for item in items if item.get("divCash", 0) > 0
            ),
            delisted=life.delisted,
        )
        return assembled(
            sent, spec, span, provenance, now=self._line.as_of, life=life, currency="USD", allow_gaps=self._allow_gaps
        )

    def _ask(self, question: Question, spec: BarSpec, unpack: Any) -> Any:
        def read(answer: Answer) -> Any:
            said = self._line.said(answer, question)
            if "run over your" in said:  # "… hourly request allocation", with status 200 on some days
                raise RateLimited(
                    f"{self.name}: the account's allowance is used up ({said}); try again in an hour", source=self.name
                )
            if answer.status in (401, 403):
                raise refused(self.name, VARIABLE, said)
            if answer.status == 404:
                raise UnknownSymbol(
                    f"{self.name} knows no symbol {spec.symbol!r}; check it", symbol=spec.symbol, source=self.name
                )
            found = json_of(answer, self.name)
            if answer.status != 200:
                raise BadAnswer(
                    f"{self.name} refuses the question (status {answer.status}: {said}): {answer.url}", source=self.name
                )
            return unpack(found)

        return self._line.ask(question, read)

    def _row(self, item: Any) -> Row:
        open_, high, low, close, volume = numbers(item, ADJUSTED, self.name)
        try:
            return dated_ms(str(item["date"])), open_, high, low, close, volume
        except (ValueError, KeyError):
            raise BadAnswer(f"{self.name} sent a bar without a date; try again later", source=self.name) from None


def _life_of(now: float) -> Any:
    """Reads the metadata of a symbol: first and last date with a price."""

    def read(found: Any) -> Life:
        if not isinstance(found, Mapping):
            raise BadAnswer("tiingo described the symbol in an unknown way; try again later", source="tiingo")
        ended = found.get("endDate")
        gone = ended is not None and dated_ms(ended) < 1000 * now - GONE_AFTER_DAYS * DAY_MS
        return Life(listed=found.get("startDate"), delisted=str(ended)[:10] if gone else None)

    return read
