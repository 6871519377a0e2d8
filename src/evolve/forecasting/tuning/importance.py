"""Which hyperparameters mattered in a search? The share of the scores' variance that each explains.

Functional analysis of variance of a forest fitted to the trials (Hutter, Hoos & Leyton-Brown 2014, ICML 31), as Optuna computes it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from evolve.forecasting.tuning.sampler import Observed, _distribution
from evolve.tunings import Dimension

MIN_TRIALS = 10  # a forest on fewer says what its seed says
SEED = 0
TREES = 16  # 64 take four times as long, and the shares differ in the second digit only


def importances(dimensions: Sequence[Dimension], tried: Sequence[Observed]) -> dict[str, float]:
    """Shares by name, largest first, sum 1; empty for fewer than `MIN_TRIALS` trials or scores that do not vary."""
    scored = [each for each in tried if each.score is not None]
    if len(scored) < MIN_TRIALS or np.ptp([each.score or 0.0 for each in scored]) == 0:
        return {}
    if len(dimensions) == 1:
        return {dimensions[0].name: 1.0}
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {each.name: _distribution(each) for each in dimensions}
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        optuna.trial.create_trial(params=dict(each.chosen), distributions=space, value=each.score) for each in scored
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the forest's library announces its own future
        found = get_param_importances(
            study, evaluator=FanovaImportanceEvaluator(n_trees=TREES, seed=SEED), params=list(space)
        )
    return {name: float(share) for name, share in sorted(found.items(), key=lambda item: -item[1])}
