"""The meta tuner service's class."""

from evolve.services.meta_tuner import MetaTunerService as MetaTunerService
