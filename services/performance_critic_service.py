"""The performance critic service's class."""

from evolve.services.performance_critic import PerformanceCriticService as PerformanceCriticService
