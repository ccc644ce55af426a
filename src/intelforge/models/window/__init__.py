"""What fits a model's context window: tokens counted without a network, and what is left out when they are too many."""
