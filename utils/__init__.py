"""Documented entry points of the checkout; the code is in `src/evolve`."""
