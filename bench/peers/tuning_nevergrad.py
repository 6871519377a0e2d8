"""nevergrad's NGOpt, the optimiser its documentation recommends. Prints trials to target by surface and seed."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import nevergrad as ng
import numpy as np
from surfaces import surfaces

warnings.simplefilter("ignore")


def main() -> None:
    table, trials, seeds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    found: dict[str, list[int | None]] = {}
    for surface in surfaces(table):
        for seed in range(seeds):
            space = ng.p.Dict(**{
                name: ng.p.Log(lower=low, upper=high) if name in surface.log else ng.p.Scalar(lower=low, upper=high)
                for name, (low, high) in surface.bounds.items()
            })  # fmt: skip
            space.random_state = np.random.RandomState(seed)
            optimiser = ng.optimizers.NGOpt(parametrization=space, budget=trials)
            reached = None
            for number in range(1, trials + 1):
                point = optimiser.ask()
                value = surface.value(point.value)
                optimiser.tell(point, value)
                if value <= surface.target:
                    reached = number
                    break
            found.setdefault(surface.name, []).append(reached)
    print(json.dumps(found))


main()
