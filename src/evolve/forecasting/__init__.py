"""Forecasts of returns: families of models, their features, and how they are fitted and refitted."""
