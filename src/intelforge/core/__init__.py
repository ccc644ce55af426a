"""Values, errors, settings, clock and the registry of backends: what every other package may import."""
