"""Answers: find passages, pick or write sentences, and check every citation to the character."""
