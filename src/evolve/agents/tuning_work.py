"""How does one worker work on a study? It draws a trial, chooses its point, tries it fold by fold, tells what came of it, and draws again.

What it does with a trial follows from the study and the outcomes of trials up to `lag` before it, never from how fast workers are: a
trial that is run again after a death is the same trial, and a study repeats itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evolve.errors import DataUnavailable, InvalidRequest
from evolve.forecasting.base import HyperValue
from evolve.forecasting.tuning.noise import Tried, best_of, has_stalled, is_worse, worth
from evolve.forecasting.tuning.objective import Objective
from evolve.forecasting.tuning.sampler import Observed, Sampler
from evolve.forecasting.tuning.space import SearchSpace
from evolve.memory.studies import Drawn, Losses, Outcome, Studies, Study, StudyTrial
from evolve.memory.trials import Trial

Progress = Callable[[str, int, int, str], None]
"""(stage, trials done, trials, a sentence). What it raises, `Cancelled` say, ends the work."""

LOOK_S = 0.02  # a trial of trees takes half a second: looking this often costs a hundredth of it
# A worker that waits this long for a trial in other hands gives its place away: whoever had it may be dead and need the place.
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker needs to know of its study. counted: what the ledger counts for a set of hyperparameters."""

    study: Study
    space: SearchSpace
    objective: Objective
    sampler: Sampler
    counted: Callable[[Mapping[str, HyperValue]], Trial | None]


@dataclass
class StudyWorker:
    work: Work
    studies: Studies
    name: str
    progress: Progress
    wait: Callable[[float], None] = time.sleep
    _known: list[StudyTrial] = field(default_factory=list)

    def run(self) -> int:
        """Work until there is nothing left, or nothing for this worker. Returns how many trials it finished.

        Raises LeaseLost when another replica has taken its request over.
        """
        study_id, finished, waited = self.work.study.study_id, 0, 0.0
        next_ = self.studies.draw(study_id, self.name)
        while True:
            if isinstance(next_, Drawn):
                outcome = self._try(next_)
                waited = 0.0
                if outcome is None:
                    next_ = self.studies.draw(study_id, self.name)
                    continue
                tried = self.work.counted(outcome.params) if outcome.state != "failed" else None
                next_ = self.studies.draw(study_id, self.name, told=(next_, outcome), tried=tried)
                finished += 1
            elif next_.over or waited >= WAIT_S:
                return finished
            else:
                self.wait(LOOK_S)
                waited += LOOK_S
                next_ = self.studies.draw(study_id, self.name)

    # --- one trial ---

    def _try(self, drawn: Drawn) -> Outcome | None:
        """None: the study was found to end before this trial."""
        seen = self._before(drawn.number)
        horizon = self.work.study.plan.horizon_bars
        settled = [each for each in seen if each.is_finished and each.number <= drawn.number - self.work.study.plan.lag]
        tried = [tried_of(each) for each in settled if each.state != "failed"]
        if self.work.study.plan.stop_early and has_stalled(tried, horizon_bars=horizon):
            self.studies.end(self.work.study.study_id, drawn)
            return None
        chosen = self._chosen(drawn, seen, settled)
        params = self.work.space.complete(chosen)
        if self.work.study.plan.lag > 1:
            self.studies.note_params(self.work.study.study_id, drawn, params)
        # The defaults are what everything is measured by: they are run whole.
        best = best_of(tried) if self.work.study.plan.prune and drawn.number > 0 else None
        return self._fold_by_fold(drawn, params, best, len(settled), best_of(tried))

    def _chosen(self, drawn: Drawn, seen: Sequence[StudyTrial], settled: Sequence[StudyTrial]) -> dict[str, HyperValue]:
        """The defaults first, then what earlier studies found, then what the sampler says."""
        study, names = self.work.study, [each.name for each in self.work.space.dimensions]
        if drawn.number == 0:
            return dict(self.work.space.defaults)
        if drawn.number <= len(study.warm):
            return dict(study.warm[drawn.number - 1])
        known = {each.number for each in settled}
        observed = []
        for each in seen:
            if each.state == "failed" and each.number in known:
                continue
            inside = {name: each.params[name] for name in names if name in each.params}
            if len(inside) == len(names) and self.work.space.holds(self.work.space.complete(inside)):
                observed.append(Observed(each.number, inside, each.worth if each.number in known else None))
        # The grid begins where defaults and warm points end.
        number = drawn.number - 1 - len(study.warm) if study.plan.method == "grid" else drawn.number
        return self.work.sampler.choose(number, observed)

    def _fold_by_fold(
        self, drawn: Drawn, params: Mapping[str, HyperValue], best: Tried | None, done: int, leader: Tried | None
    ) -> Outcome:
        objective, wanted = self.work.objective, self.work.study.wanted
        ahead = "" if leader is None else f", best so far {100 * leader.score:+.2f} %"
        parts: list[Losses] = []
        scores: list[float] = []
        for fold in range(objective.folds):
            said = f"trial {drawn.number + 1} of at most {wanted}, fold {fold + 1} of {objective.folds}{ahead}"
            self.progress(f"tune {self.work.space.family}", min(done, wanted), wanted, said)
            try:
                losses = objective.losses(params, fold)
            except (DataUnavailable, InvalidRequest) as error:
                return Outcome("failed", params, error=error.message)
            except (ArithmeticError, np.linalg.LinAlgError) as error:
                return Outcome("failed", params, error=f"{type(error).__name__}: {error}")
            parts.append(losses)
            so_far = np.concatenate(parts)
            score = objective.score(so_far) if np.isfinite(so_far).all() else float("nan")
            if not np.isfinite(score):
                return Outcome("failed", params, error=f"the score of fold {fold + 1} is not a finite number")
            scores.append(score)
            last = fold + 1 == objective.folds
            if (
                not last
                and best is not None
                and is_worse(so_far, best.losses, horizon_bars=self.work.study.plan.horizon_bars)
            ):
                here = objective.score(best.losses[: len(so_far)])
                behind = worth(Tried(drawn.number, so_far, score, whole=False), best, here)
                return Outcome("pruned", params, score, behind, tuple(scores), so_far)
        return Outcome("complete", params, scores[-1], scores[-1], tuple(scores), np.concatenate(parts))

    def _before(self, number: int) -> list[StudyTrial]:
        """Trials with a smaller number, by number; with their points, which another worker notes as soon as it has chosen."""
        study_id = self.work.study.study_id
        waited = 0.0
        while True:
            settled = 0
            while settled < len(self._known) and self._known[settled].is_finished:
                settled += 1
            fresh = self.studies.trials(study_id, after=settled - 1)
            self._known = [*self._known[:settled], *fresh]
            before = [each for each in self._known if each.number < number]
            if all(each.params or each.state == "failed" for each in before) or waited >= WAIT_S:
                return before
            self.wait(LOOK_S)
            waited += LOOK_S


def tried_of(trial: StudyTrial) -> Tried:
    return Tried(
        trial.number, trial.losses, trial.score if trial.score is not None else float("nan"), trial.state == "complete"
    )
