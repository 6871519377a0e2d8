"""RestrictedPython as its documentation shows it: rewritten code in this process, no limit on time or memory."""

from moving_average import INPUT, MODEL, report
from RestrictedPython import compile_restricted, safe_globals


def run() -> float:
    import numpy as np

    # Its guards forbid importing; what a program may use is handed in.
    namespace = {**safe_globals, "np": np, "_getitem_": lambda holder, key: holder[key], "_getattr_": getattr}
    exec(compile_restricted(MODEL.replace("import numpy as np\n", ""), "<model>", "exec"), namespace)
    return float(namespace["main"](INPUT)["prediction"])


if __name__ == "__main__":
    report(run)
