"""Replies that were given before: to the same request, or to one that asks the same."""
