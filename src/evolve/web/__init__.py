"""Evolve over HTTP: an API derived from the message registry, and the pages that use it."""
