"""The quant gpt service's class."""

from evolve.services.quant_gpt import QuantGPTService as QuantGPTService
