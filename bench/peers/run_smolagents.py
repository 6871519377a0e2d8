"""smolagents' local Python executor: an interpreter of the syntax tree in this process, no limit on memory."""

from moving_average import INPUT, MODEL, report
from smolagents.local_python_executor import LocalPythonExecutor


def run() -> float:
    executor = LocalPythonExecutor(["numpy"])
    executor.send_tools({})
    found = executor(f"{MODEL}\nmain({INPUT!r})")
    return float(getattr(found, "output", found)["prediction"])


if __name__ == "__main__":
    report(run)
