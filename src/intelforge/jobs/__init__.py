"""Durable work: an engine that runs jobs step by step, and leases that keep two processes out of each other's way."""
