"""QuantGPT for programs: `QuantGPT().process_query("Give me the best model for NVDA over 90 days")`."""

from evolve.quant_gpt import QuantGPT as QuantGPT
