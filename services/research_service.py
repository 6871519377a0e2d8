"""The research service's class."""

from evolve.services.research import ResearchService as ResearchService
