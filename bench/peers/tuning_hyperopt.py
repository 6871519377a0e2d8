"""hyperopt's TPE, as its documentation uses it: `fmin` with `tpe.suggest`. Prints trials to target by surface and seed."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
from hyperopt import fmin, hp, tpe
from surfaces import surfaces


def main() -> None:
    table, trials, seeds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    found: dict[str, list[int | None]] = {}
    for surface in surfaces(table):
        space = {
            name: hp.loguniform(name, math.log(low), math.log(high))
            if name in surface.log
            else hp.uniform(name, low, high)
            for name, (low, high) in surface.bounds.items()
        }
        for seed in range(seeds):
            values: list[float] = []

            def tried(point, surface=surface, values=values):  # type: ignore[no-untyped-def]
                values.append(surface.value(point))
                return values[-1]

            fmin(
                tried,
                space,
                algo=tpe.suggest,
                max_evals=trials,
                rstate=np.random.default_rng(seed),
                show_progressbar=False,
                verbose=False,
            )
            reached = [number for number, value in enumerate(values, start=1) if value <= surface.target]
            found.setdefault(surface.name, []).append(reached[0] if reached else None)
    print(json.dumps(found))


main()
