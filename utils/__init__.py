"""The documented entry points of a checkout; everything they do is in the package `evolve`."""

from services._checkout import require_evolve

require_evolve()
