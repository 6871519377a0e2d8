"""The documented entry points of a checkout; everything they do is in the package `evolve`."""
