"""Measurements, never tests: what the README and the closing notes say is printed by these."""
