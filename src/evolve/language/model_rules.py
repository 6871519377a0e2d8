"""Does a clause ask for work on a model? Which one, build, train again, tune, evaluate."""

from __future__ import annotations

from collections.abc import Iterator

from evolve.language.clause import Clause, Trigger


def retrain(c: Clause) -> Iterator[Trigger]:
    at = c.at("RETRAIN")
    if at is not None:
        yield Trigger(at, "model_retrain", "retrain", 3)
    if (
        c.has_model
        and any(c.words[at : at + 3] == ("up", "to", "date") for at in range(len(c.words)))
        and {"bring", "get", "keep"} & set(c.words)
    ):
        yield Trigger(0, "model_retrain", "bring up to date", 3)
    for mark in c.marks("UPDATE"):
        charted = c.soon(mark.end, 3, "CHART", "PLOT", "IMAGE")
        if c.has_model and not charted and c.words[mark.start - 1 : mark.start] not in (("an",), ("any",), ("latest",)):
            yield Trigger(mark.start, "model_retrain", "update an existing model", 3)
    if c.has("BUILD") and c.has_model and "neu" in c.words and {"trainiere", "trainier", "trainieren"} & set(c.words):
        yield Trigger(c.at("BUILD") or 0, "model_retrain", "train again", 3)


def build(c: Clause) -> Iterator[Trigger]:
    for mark in c.marks("BUILD"):
        word = c.words[mark.start]
        trains = word.startswith(("train", "entren", "entrain", "fit", "训", "trein", "addestr"))
        if word == "fit" and c.words[mark.end : mark.end + 1] == ("for",):
            continue
        if c.soon(mark.end, 5, "CHART", "PLOT", "IMAGE") and not c.model_soon(mark.end, 5):
            continue
        if c.words[max(0, mark.start - 3) : mark.start] and {"how", "well", "was"} <= set(c.words[: mark.start]):
            continue
        if c.has_model or c.has("PREDICTOR") or (trains and c.has_symbol):
            yield Trigger(mark.start, "model_build", "build a model", 3)
        elif c.has("STRATEGY", "TRADED") and c.has_symbol:
            yield Trigger(mark.start, "model_build", "build for a symbol", 1)
        elif trains:
            yield Trigger(mark.start, "model_build", "train", 1)
    for mark in c.marks("MAKE"):
        if c.model_soon(mark.end, 8) and not c.soon(mark.end, 6, "CHART", "PLOT", "IMAGE", "EVAL", "RESEARCH"):
            yield Trigger(mark.start, "model_build", "make a model", 3)
    for mark in c.marks("NEWER"):
        near = c.model_soon(mark.end, 3) or (c.words[mark.start].startswith("新") and c.model_soon(mark.end, 3))
        if near and not c.has("RESEARCH", "RETRAIN", "UPDATE") and not c.has("EVAL", "PERF", "HOWDO"):
            yield Trigger(mark.start, "model_build", "a new model", 3)


def tune(c: Clause) -> Iterator[Trigger]:
    for mark in c.marks("TUNE"):
        if "portfolio" in c.words or "allocation" in c.words:
            yield Trigger(mark.start, "general_query", "portfolio optimisation", 1)
        elif c.has("PARAM", "MODEL", "STRATEGY", "TRADED", "ANAPHOR") or c.has_family or c.has_symbol:
            yield Trigger(mark.start, "hyperparameter_tune", "tune", 3)
        elif not c.reading.unknown_words:
            yield Trigger(mark.start, "hyperparameter_tune", "tune", 1)
    for mark in c.marks("PARAM"):
        if c.has("BEST", "SHOULD", "WANT", "USE", "SEARCH", "RECOMMEND", "WHICH") and not c.has("DEFINE"):
            asked = c.at("BEST", "SHOULD", "WANT", "USE", "RECOMMEND", "WHICH")
            unit = (
                mark.end - mark.start > 1
                or "_" in c.words[mark.start]
                or c.words[mark.start].startswith(("hyper", "param", "hiper", "超", "参", "dropout"))
            )
            if unit or c.has("SHOULD"):
                yield Trigger(min(mark.start, asked or 0), "hyperparameter_tune", "which parameters", 3)
        elif c.words[mark.start].startswith(("hyper", "hiper", "超")):
            yield Trigger(mark.start, "hyperparameter_tune", "hyperparameters", 2)


_PAST_RESULT = frozenset("performed did was won scored had came worked fared beat has have gave made got".split())


def evaluate(c: Clause) -> Iterator[Trigger]:
    for mark in c.marks("EVAL"):
        grounded = (
            c.has_model
            or c.has_symbol
            or c.has("STRATEGY", "PERF", "TRADED", "ANAPHOR", "MARKET", "STATE", "SIGNAL", "INDICATOR", "TEST")
        )
        if grounded or c.words[mark.start].startswith(("back", "walk", "回")) or not c.reading.unknown_words:
            company = c.words[mark.start] in (
                "assess",
                "evaluate",
                "assessing",
                "evaluating",
                "evalua",
                "bewerte",
                "评",
            ) and (c.has_symbol and c.has("STATE") and not c.has_model and not c.has("STRATEGY"))
            if company:
                yield Trigger(mark.start, "market_analysis", "assess the state of a symbol", 3)
            else:
                yield Trigger(mark.start, "model_evaluate", "evaluate", 3)
    for mark in c.marks("TEST"):
        if (c.has_model or c.has("STRATEGY")) and not c.has("RESEARCH"):
            noun = c.words[mark.start - 1 : mark.start] in (("the",), ("a",), ("latest",))
            yield Trigger(mark.start, "model_evaluate", "test a model", 2 if noun else 3)
    compare = c.at("COMPARE")
    named = {model.name for model in c.reading.named_models}
    if compare is not None:
        if len(named) >= 2 or c.has("MODEL", "STRATEGY") or (c.has_family and len(c.reading.symbols) < 2):
            yield Trigger(compare, "model_evaluate", "compare models", 3)
        elif c.has_symbol:
            yield Trigger(compare, "market_analysis", "compare symbols", 3)
        elif c.has_model:
            yield Trigger(compare, "model_evaluate", "compare models", 2)
        elif not c.reading.unknown_words:
            yield Trigger(compare, "market_analysis", "compare", 1)
    against = {"vs", "versus", "against", "gegen", "contre", "contra"} & set(c.words)
    if len(named) >= 2 and against and not c.has("BEST", "SHOULD", "WHICH", "RECOMMEND"):
        yield Trigger(c.reading.named_models[0].start, "model_evaluate", "model against model", 2)
    concrete = c.has_model and (c.definite_model or c.has_family or c.has_symbol or c.has("MINE"))
    strategic = c.has("STRATEGY") and (c.has_symbol or c.has("MINE"))
    asks_which = c.has("WHICH") and c.has("MODEL") and not c.has_id
    if (
        (concrete or strategic)
        and not c.has("SUIT")
        and not (c.has("BEST") and not c.has_id and not c.definite_model)
        and not asks_which
    ):
        perf = c.at("PERF")
        if perf is not None and (c.has_family or c.has_symbol or c.has("MINE") or strategic):
            yield Trigger(
                min(perf, c.at("WHATIS", "HOWDO", "SHOW", "WANT") or perf),
                "model_evaluate",
                "performance of a model",
                3,
            )
        howdo = c.at("HOWDO")
        if (
            howdo is not None
            and c.has("DOING", "BEST", "BEAT", "STATE")
            and (c.has_symbol or c.definite_model or c.has("MINE"))
        ):
            yield Trigger(howdo, "model_evaluate", "how does a model do", 3)
        beat = c.at("BEAT")
        if beat is not None and (c.definite_model or "beat" in c.words[beat] or "outperform" in c.words[beat]):
            yield Trigger(0, "model_evaluate", "is a model any good", 3)
        doing = c.at("DOING")
        if (
            doing is not None
            and c.definite_model
            and not c.has("SHOULD", "WHICH")
            and c.words[doing].startswith(("perform", "work", "hold"))
        ):
            yield Trigger(doing, "model_evaluate", "does a model work", 2)
    if asks_which:
        model_at = c.at("MODEL") or 0
        after = set(c.words[model_at + 1 : model_at + 3])
        if (
            "would" not in after
            and after & _PAST_RESULT
            and (c.has("PERF", "BEST", "DOING", "STATE", "BEAT") or after & {"won"})
        ):
            yield Trigger(0, "model_evaluate", "which model did best", 3)


def recommend(c: Clause) -> Iterator[Trigger]:
    best, which, model = c.at("BEST"), c.at("WHICH", "WHATIS"), c.at("MODEL")
    families = {m.name for m in c.reading.named_models if not m.identifier}
    if c.has_id and not c.has("RECOMMEND"):
        return
    general = c.has("CAPABILITY", "LIST") and not c.has("BEST", "SHOULD", "USE", "RECOMMEND") and not c.has_symbol
    if model is not None and not general:
        if best is not None:
            yield Trigger(
                min(best, model, which if which is not None else model), "model_recommendation", "best model", 3
            )
        elif which is not None and model - which <= 4:
            yield Trigger(which, "model_recommendation", "which model", 3)
        elif c.has("SHOULD") and c.has("USE"):
            yield Trigger(c.at("SHOULD") or 0, "model_recommendation", "which model to use", 3)
        elif c.has("WANT") and not c.definite_model:
            want = next(c.marks("WANT"))
            if want.start < model and model - want.end <= 6 and not c.has("NEWER", "RESEARCH"):
                yield Trigger(want.start, "model_recommendation", "a model is wanted", 3)
    for mark in c.marks("RECOMMEND"):
        if model is not None or families:
            yield Trigger(mark.start, "model_recommendation", "recommend a model", 3)
        elif c.has("STRATEGY", "CROSS", "STOCKS") or (c.has("MARKET") and not c.has_symbol):
            yield Trigger(mark.start, "general_query", "recommend across the market", 2)
        elif c.has("PARAM"):
            yield Trigger(mark.start, "hyperparameter_tune", "recommend parameters", 3)
        elif c.has_symbol:
            yield Trigger(mark.start, "model_recommendation", "recommend something for a symbol", 2)
    if families and not c.has("EVAL", "PARAM", "STRATEGY") and not c.has_id:
        at = c.reading.named_models[0].start
        if best is not None and not c.definite_model:
            yield Trigger(min(best, at), "model_recommendation", "is this model better", 3)
        elif c.has("SUIT"):
            yield Trigger(at, "model_recommendation", "is this model suitable", 3)
        elif c.has("SHOULD") and (c.has("USE") or len(families) >= 2):
            yield Trigger(min(c.at("SHOULD") or 0, at), "model_recommendation", "should this model be used", 3)
        elif len(families) >= 2 and c.has("OR") and not c.has("PERF", "COMPARE"):
            yield Trigger(at, "model_recommendation", "this model or that", 2)
        elif (
            c.has("BEAT")
            and not c.definite_model
            and c.words[c.at("BEAT") or 0] in ("good", "any", "decent", "gut", "bon")
        ):
            yield Trigger(at, "model_recommendation", "is this model suitable", 2)
        elif c.has("USE") and (c.has("WHICH") or "?" in c.words) and best is None and "OR" in c.reading.concepts:
            yield Trigger(at, "model_recommendation", "which to use", 2)
    if model is None and not families and c.has_symbol and not c.has("STRATEGY", "PARAM"):
        superlative = best is not None and c.words[best] in ("best", "mejor", "beste", "besten", "mieux", "optimal")
        if (
            best is not None
            and superlative
            and c.has("DOING", "USE", "WHICH", "WHATIS")
            and not c.has("CROSS", "STOCKS")
        ):
            yield Trigger(best, "model_recommendation", "what works best", 1)
        if c.has("USE") and which is not None and not c.has("INDICATOR", "SIGNAL", "CHART"):
            yield Trigger(which, "model_recommendation", "what to use", 1)
