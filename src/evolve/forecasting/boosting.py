"""Gradient-boosted trees: steps and thresholds that a line cannot draw.

Shallow, subsampled and in a committee: returns hold little signal, and deep trees find patterns in noise. With a planted signal
of R² 2 % depth 2, bagged and shrunk, found about half of it; depth 4, unshrunk, a fifth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evolve.forecasting.base import Arrays, Hyperparameter, HyperValue, Progress
from evolve.forecasting.learned import LearnedForecaster, Member, Samples
from evolve.market.bars import Floats

if TYPE_CHECKING:
    import xgboost


@dataclass(frozen=True, eq=False)
class Trees:
    booster: xgboost.Booster

    def parts(self, table: Floats) -> Floats:
        return _predicted(self.booster, table)[None]

    def arrays(self) -> Arrays:
        return {"ubj": np.frombuffer(bytes(self.booster.save_raw("ubj")), dtype=np.uint8)}


class Forest:
    """The mean of several boosters by one call, whose overhead is a quarter of a millisecond whatever the number of trees."""

    def __init__(self, boosters: Sequence[xgboost.Booster]) -> None:
        self.size = len(boosters)
        self.booster = united(boosters)

    def __call__(self, table: Floats) -> Floats:
        return _predicted(self.booster, table)[None] / self.size


def united(boosters: Sequence[xgboost.Booster]) -> xgboost.Booster:
    """A booster with the trees of all and the sum of their base scores: it forecasts the sum of their forecasts."""
    import orjson
    import xgboost

    documents = [orjson.loads(booster.save_raw("json")) for booster in boosters]
    models = [each["learner"]["gradient_booster"]["model"] for each in documents]
    bases = [each["learner"]["learner_model_param"]["base_score"] for each in documents]
    trees = [{**tree, "id": number} for number, tree in enumerate(tree for model in models for tree in model["trees"])]
    models[0] |= {"trees": trees, "tree_info": [0] * len(trees), "iteration_indptr": list(range(len(trees) + 1))}
    models[0]["gbtree_model_param"]["num_trees"] = str(len(trees))
    base = repr(sum(float(base.strip("[]")) for base in bases))
    # A list of one number since xgboost 3, the number itself before.
    documents[0]["learner"]["learner_model_param"]["base_score"] = f"[{base}]" if bases[0].startswith("[") else base
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(orjson.dumps(documents[0])))
    return booster


def _predicted(booster: xgboost.Booster, table: Floats) -> Floats:
    # Trees compare in single precision anyway; handing it over so, unchecked, takes a third off a call for one row.
    return np.asarray(booster.inplace_predict(table.astype(np.float32), validate_features=False), dtype=np.float64)


class Boosting(LearnedForecaster):
    family: ClassVar[str] = "xgboost"
    blocks = 8  # trees vary much from member to member, and a member costs 20 ms
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter("max_depth", "int", 2, "questions asked along one branch of a tree", low=1, high=8, search=(1, 5)),
        Hyperparameter("n_estimators", "int", 50, "trees per member of the committee", low=10, high=2000, scale="log", search=(15, 250)),
        Hyperparameter("learning_rate", "float", 0.03, "share of each tree that is added", low=0.001, high=0.5, scale="log", search=(0.005, 0.2)),
        Hyperparameter("subsample", "float", 0.5, "share of rows that each tree sees", low=0.1, high=1.0, search=(0.3, 1.0)),
        Hyperparameter("colsample_bytree", "float", 0.7, "share of features that each tree sees", low=0.1, high=1.0, search=(0.3, 1.0)),
        Hyperparameter("min_child_weight", "float", 60.0, "rows that a leaf must hold", low=1.0, high=1000.0, scale="log", search=(5.0, 200.0)),
        Hyperparameter("reg_lambda", "float", 10.0, "penalty on squared leaf values", low=0.0, high=1e4, scale="log", search=(0.1, 300.0)),
    )  # fmt: skip

    def fit_member(
        self,
        samples: Samples,
        *,
        settings: Mapping[str, HyperValue],
        horizon_bars: int,
        seed: int,
        progress: Progress,
    ) -> Trees:
        import xgboost

        tree = {name: value for name, value in settings.items() if name != "n_estimators"}
        booster = xgboost.train(
            {
                **tree,
                "objective": "reg:squarederror",
                "base_score": float(samples.target.mean()),
                "tree_method": "hist",
                "max_bin": 64,  # the features are noisy; finer cuts cost time and fit noise
                "nthread": 1,  # the order of additions, and so the last bits, would depend on the number of threads
                "seed": seed % 2**31,
                "verbosity": 0,
            },
            xgboost.DMatrix(samples.table, samples.target, nthread=1),
            num_boost_round=int(settings["n_estimators"]),
        )
        return Trees(booster)

    def restore_member(self, arrays: Arrays, *, inputs: int, settings: Mapping[str, HyperValue]) -> Trees:
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(arrays["ubj"].tobytes()))
        return Trees(booster)

    def compiled_vote(self, members: Sequence[Member], *, inputs: int, window_bars: int) -> Forest:
        return Forest([member.booster for member in members if isinstance(member, Trees)])
