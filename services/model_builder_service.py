"""The model builder service's class."""

from evolve.services.model_builder import ModelBuilderService as ModelBuilderService
