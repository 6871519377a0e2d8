"""The safe executor service's class."""

from evolve.services.safe_executor import SafeExecutorService as SafeExecutorService
