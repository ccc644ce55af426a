"""Measures how fast models answer."""
