"""Spread work over processes; the result is the same as without."""
