"""Estimate memory and time of a stage. Pure arithmetic over the spec, the placement and coefficients."""
