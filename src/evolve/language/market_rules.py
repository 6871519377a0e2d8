"""Does a clause ask about the market or the field? A signal, a state, a picture, papers, concepts, everything at once."""

from __future__ import annotations

from collections.abc import Iterator

from evolve.language.clause import Clause, Trigger
from evolve.language.lexicon import Mark


def concepts_and_help(c: Clause) -> Iterator[Trigger]:
    """Definitions, help, capabilities, status, history: about the field or the system, not about an instrument."""
    define = c.at("DEFINE")
    about = c.has_symbol or c.has("MINE") or c.has_id
    if define is not None and not c.has("RESEARCH"):
        work = c.words[define : define + 2] in (("how", "does"), ("how", "do"), ("how", "can")) and c.has(
            "COMPARE", "PERF"
        )
        if not about and not work and not (c.has("MARKET") and c.has("STATE", "WHY")):
            yield Trigger(max(0, define - 2), "general_query", "definition or how-to", 3)
        elif not c.has("WHY", "STATE", "INDICATOR", "BUILD", "EVAL", "PERF", "TUNE", "RETRAIN", "PLOT", "BUY", "SELL", "LONG", "SHORT",
                       "SIGNAL", "ANALYZE", "HOWDO", "COMPARE", "RECOMMEND", "BEST"):  # fmt: skip
            yield Trigger(define, "general_query", "definition or how-to", 2)
    whatis = c.at("WHATIS")
    if whatis is not None and not about:
        mark = next(c.marks("WHATIS"))
        topic = c.soon(mark.end, 3, "INDICATOR", "PERF", "EVAL", "STRATEGY", "BUY", "SELL", "LONG", "SHORT", "SIGNAL", "TRADED", "TUNE",
                       "PARAM", "MODEL", "CHART") or any(mark.end <= m.start <= mark.end + 2 for m in c.reading.models)  # fmt: skip
        if (topic or c.has("MEAN")) and not c.has(
            "BEST", "MARKET", "LATEST", "SHOULD", "RESEARCH", "USE", "CROSS", "PLOT"
        ):
            yield Trigger(whatis, "general_query", "what is …", 3)
        if c.has("STATE") and c.has("MEAN"):
            yield Trigger(whatis, "general_query", "what is …", 3)
    help_at = c.at("HELP")
    if help_at is not None and not about:
        multi = any(mark.end - mark.start > 1 for mark in c.marks("HELP"))
        alone = len([t for t in c.reading.tokens if t.kind != "mark"]) <= 3
        if alone or (
            multi
            and not c.has(
                "BUILD", "EVAL", "PLOT", "TUNE", "RETRAIN", "RECOMMEND", "MODEL", "RESEARCH", "SIGNAL", "STATE"
            )
        ):
            yield Trigger(help_at, "general_query", "help", 3)
        elif not c.reading.unknown_words:
            yield Trigger(help_at, "general_query", "help", 1)
    supported = c.at("SUPPORTED")
    if supported is not None and not c.has("BUY", "SELL", "PLOT", "EVAL"):
        yield Trigger(max(0, supported - 4), "general_query", "what is supported", 3)
    capability = c.at("CAPABILITY")
    if capability is not None and not about and not c.has_family and not c.has("BEST", "RESEARCH", "SHOULD", "IMAGE"):
        if c.has(
            "MODEL",
            "STOCKS",
            "TRADED",
            "PLOT",
            "CHART",
            "INDICATOR",
            "MARKET",
            "EVAL",
            "SIGNAL",
            "BUY",
            "STATE",
            "PARAM",
            "TUNE",
        ):
            yield Trigger(0, "general_query", "capability", 3)
        elif not c.reading.unknown_words:
            yield Trigger(capability, "general_query", "capability", 1)
    part = c.at("SYSTEM")
    if (
        part is not None
        and not about
        and (c.has("WHATIS", "DEFINE", "HOWDO", "WHICH", "HELP", "STATUS") or not c.reading.unknown_words)
    ):
        yield Trigger(0, "general_query", "a part of the system", 3)
    status = c.at("STATUS")
    if (
        status is not None
        and not c.has_symbol
        and not c.has_model
        and not c.has("MARKET", "STRATEGY", "EVAL", "BUILD", "PLOT")
    ):
        if not c.reading.unknown_words or c.words[status] in (
            "status",
            "redis",
            "queue",
            "services",
            "service",
            "uptime",
        ):
            yield Trigger(status, "general_query", "system status", 3)
    elif status is not None and c.words[status] == "status" and not c.has_symbol:
        yield Trigger(status, "general_query", "system status", 2)
    for mark in c.marks("HISTORY"):
        if mark.end - mark.start > 1 or (c.has("MINE", "LIST", "SHOW") and not c.has_symbol and not c.has("STATE")):
            yield Trigger(0, "general_query", "history", 3)
            break
    listed = c.at("LIST")
    if (
        listed is not None and c.has("MODEL", "STOCKS", "INDICATOR") and not about and not c.has("PARAM", "RESEARCH")
    ) or (listed is not None and c.has("MODEL") and c.has("MINE") and not c.has("EVAL", "RETRAIN", "TUNE")):
        yield Trigger(listed, "general_query", "list", 3)
    if (
        c.has("MODEL")
        and c.has("PERF")
        and not about
        and not c.has_family
        and not c.has("STRATEGY", "EVAL", "COMPARE", "BEST", "WHICH")
    ):
        yield Trigger(0, "general_query", "performance of the models at large", 2)
    exists = {"have", "has", "exist", "exists", "available", "take", "takes", "accept", "there", "tiene", "tienen", "hat", "gibt", "a",
              "does", "有", "are"} & set(c.words)  # fmt: skip
    asked = c.has("WHICH", "WHATIS", "LIST") and not c.has("BEST", "SHOULD", "USE", "TUNE", "WANT")
    if c.has("PARAM") and asked and exists:
        yield Trigger(0, "general_query", "which hyperparameters exist", 3)


def across_the_market(c: Clause) -> Iterator[Trigger]:
    """Questions over all instruments, and over strategies."""
    cross = c.at("CROSS")
    if cross is not None and not c.has("BUY", "SELL", "SHORT", "LONG", "RESEARCH"):
        if not c.has_symbol:
            yield Trigger(cross, "general_query", "across the market", 3)
        else:
            yield Trigger(cross, "market_analysis", "across named symbols", 1)
    strategy = c.at("STRATEGY")
    if strategy is not None and not c.has("RESEARCH"):
        if c.has("BEST", "WHICH", "WHATIS", "RECOMMEND", "WANT") and not c.has(
            "EVAL", "TEST", "BUILD", "MAKE", "TUNE", "PLOT", "MODEL"
        ):
            asked = c.at("BEST", "WHICH", "WHATIS", "RECOMMEND", "WANT")
            yield Trigger(min(strategy, asked if asked is not None else strategy), "general_query", "which strategy", 3)
        elif not c.has_symbol:
            yield Trigger(strategy, "general_query", "a strategy", 1)


def research(c: Clause) -> Iterator[Trigger]:
    for mark in c.marks("RESEARCH"):
        verb = c.at("WANT", "SHOW", "ANALYZE", "RECOMMEND")
        yield Trigger(
            mark.start if verb is None else min(verb, mark.start), "research_search", "papers and repositories", 3
        )
        break
    at = c.at("RESEARCH_VERB")
    if at is not None and not c.has("RESEARCH"):
        if c.has_symbol:
            yield Trigger(at, "market_analysis", "research a symbol", 2)
        else:
            yield Trigger(at, "research_search", "research", 2)


def plot(c: Clause) -> Iterator[Trigger]:
    grounded = c.has_symbol or c.has_model or c.has("STATE", "PERF", "CHART", "INDICATOR", "TRADED", "EVAL", "IMAGE", "MARKET", "STRATEGY",
                                                   "STOCKS", "SIGNAL", "PARAM", "ANAPHOR", "BACKTEST_NOUN")  # fmt: skip
    for mark in c.marks("PLOT"):
        if _is_location(c, mark):
            continue
        if grounded or not c.reading.unknown_words:
            yield Trigger(mark.start, "plot_request", "draw", 3)
    for mark in c.marks("CHART"):
        if _is_location(c, mark) or c.has("ON_CHART"):
            continue
        verb = next((m.start for m in c.marks("SHOW", "WANT", "MAKE", "BUILD", "USE") if m.start < mark.start), None)
        commanded = mark.start <= 1 and c.words[mark.start] in ("chart", "charts") and (c.has_symbol or c.has_model)
        if verb is not None and not c.has("SHOULD") and not c.model_soon(verb, mark.start - verb):
            yield Trigger(verb, "plot_request", "show a chart", 3)
        elif commanded:
            yield Trigger(mark.start, "plot_request", "chart", 3)
        elif not c.is_question and c.words[mark.start] not in ("figure", "dashboard", "candlesticks", "candlestick"):
            yield Trigger(mark.start, "plot_request", "a kind of chart", 2)
        else:
            yield Trigger(mark.start, "plot_request", "a kind of chart", 1)
    for mark in c.marks("IMAGE"):
        file = c.words[mark.start] in ("png", "jpg", "jpeg", "webp")
        if file or not c.reading.unknown_words or (grounded and c.has("CHART", "STATE", "TRADED", "ANALYZE", "PLOT")):
            yield Trigger(0 if file else mark.start, "plot_request", "an image", 3)
    backtested = c.at("BACKTEST_NOUN")
    if backtested is not None and not c.has("PLOT", "CHART"):
        yield Trigger(backtested, "model_evaluate", "backtest results", 2)


def _is_location(c: Clause, mark: Mark) -> bool:
    """ "on the 1h chart": where one looks, not what one wants drawn."""
    lead = c.words[max(0, mark.start - 4) : mark.start]
    for back in range(len(lead) - 1, -1, -1):
        word = lead[back]
        if word in ("on", "in", "from", "auf", "im", "en", "sur", "dans", "at"):
            return True
        if word in ("a", "an", "una", "un", "einem", "einen", "une") and c.has("SHOW", "WANT", "MAKE", "PLOT"):
            return False
        position = mark.start - len(lead) + back
        timed = any(f.start <= position < f.end for f in c.reading.time.timeframes)
        symbol = any(m.start <= position < m.end for m in c.reading.mentions)
        if not (
            timed
            or symbol
            or word
            in ("the", "its", "this", "that", "a", "my", "el", "dem", "le", "der", "daily", "weekly", "hourly", "s")
        ):
            return False
    return False


_WEAK_ACTS = frozenset(
    """add adding enter exit exiting trim trimming dump dumping position positions stop stops bail keep get invest investing tp entry
    entries signal signals bought sold enter compra venta achat vente short long shorts longs""".split()
)


def signal(c: Clause) -> Iterator[Trigger]:
    anchored = c.has_symbol or c.has("MARKET", "STOCKS", "ANAPHOR", "CROSS", "SIGNAL")
    alone = not c.reading.unknown_words
    if not (anchored or alone):
        return
    lead = c.at("SHOULD")
    for mark in c.marks("BUY", "SELL", "LONG", "SHORT", "SIGNAL"):
        added = c.words[mark.start] in ("add", "adding") and mark.end - mark.start == 1
        if (
            added
            and not c.has("SHOULD", "SELL", "WAIT", "SIGNAL")
            and not ({"worth", "time", "position", "would", "smart", "wise", "idea", "sense", "good"} & set(c.words))
        ):
            continue
        if (
            c.words[mark.start] in ("stop", "stops")
            and mark.end - mark.start == 1
            and not (c.has_symbol or c.has("LONG", "SHORT", "SHOULD"))
        ):
            continue
        if _is_declined(c, mark):
            continue
        start = mark.start if lead is None else min(lead, mark.start)
        weak = c.words[mark.start] in _WEAK_ACTS and mark.end - mark.start == 1 and lead is None and not c.is_question
        yield Trigger(start, "trading_signal", "an action is asked about", 2 if weak else 3)
        break
    wait = c.at("WAIT")
    if wait is not None and (c.has("SHOULD", "OR") or "to" in c.words[:wait]) and not c.has_model:
        yield Trigger(wait if lead is None else lead, "trading_signal", "hold or wait", 3)
    elif wait is not None and c.has_symbol and wait <= 2 and not c.has_model:
        yield Trigger(wait, "trading_signal", "hold", 1)
    if lead is not None and (c.has_symbol or c.has("MARKET", "STOCKS")) and not c.has_model:
        yield Trigger(lead, "trading_signal", "whether to act", 1)
    if (
        lead is not None
        and c.has_symbol
        and {"do", "hacer", "tun", "machen", "faire"} & set(c.words)
        and not c.has_model
    ):
        yield Trigger(lead, "trading_signal", "what to do", 2)
    if (
        c.has("TRADED")
        and lead is not None
        and c.has_symbol
        and {"trade", "trading", "invest"} & set(c.words)
        and not c.has_model
    ):
        yield Trigger(lead, "trading_signal", "whether to trade", 2)


def _is_declined(c: Clause, act: Mark) -> bool:
    """ "I don't want to buy it": no action is asked about."""
    return any(
        act.start - 3 <= mark.end <= act.start
        and c.words[mark.start] not in ("isn", "isnt", "aren", "no")
        and not c.has("SHOULD", "WHY")
        for mark in c.marks("NOT")
    )


def analyse(c: Clause) -> Iterator[Trigger]:
    market = c.has("MARKET") or (c.has("STOCKS") and not c.has("CROSS"))
    topic = c.has_symbol or market
    if len(c.reading.symbols) >= 2 and {"vs", "versus", "or", "oder", "ou", "o"} & set(c.words) and not c.has_model:
        yield Trigger(_LAST, "market_analysis", "one symbol against another", 2)
    why = c.at("WHY")
    if why is not None and (topic or c.has("STATE")) and not c.has_model:
        yield Trigger(why, "market_analysis", "why", 3)
    for mark in c.marks("ANALYZE"):
        if topic and not (c.has_model and c.definite_model and not c.has_symbol):
            yield Trigger(mark.start, "market_analysis", "analyse", 3)
        elif c.has_model:
            yield Trigger(mark.start, "model_evaluate", "analyse a model", 2)
        elif not c.reading.unknown_words:
            yield Trigger(mark.start, "market_analysis", "analyse", 1)
        break
    forecast = c.at("FORECAST")
    if forecast is not None and topic and not c.has("MODEL"):
        yield Trigger(forecast, "market_analysis", "forecast", 3 if forecast <= 2 else 2)
    howdo = c.at("HOWDO")
    if howdo is not None and topic and not c.has_model:
        yield Trigger(howdo, "market_analysis", "how does it do", 3)
    if c.has("OPINION") and topic:
        yield Trigger(c.at("OPINION") or 0, "market_analysis", "an opinion", 2)
    for concept, reason in (
        ("STATE", "state of a symbol"),
        ("INDICATOR", "an indicator"),
        ("DOING", "how it does"),
        ("PERF", "its returns"),
    ):
        at = c.at(concept)
        if at is None:
            continue
        # A noun gives way to any other reading of the same strength, wherever that stands.
        if topic or (concept == "INDICATOR" and c.reading.unknown_words <= 1):
            yield Trigger(_LAST + at, "market_analysis", reason, 2)
        elif concept == "STATE" and not c.reading.unknown_words and not c.has_model:
            yield Trigger(at, "market_analysis", reason, 1)


_LAST = 10_000
