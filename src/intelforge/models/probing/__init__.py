"""Finds out what a model can do by asking it: a short standard set, the same for every model."""
