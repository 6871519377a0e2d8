"""The safe executor for programs: `from utils.safe_executor import SafeExecutor`."""

from evolve.sandbox.executor import SafeExecutor as SafeExecutor
