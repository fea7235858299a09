"""Compile experiments to a plan: stages with keys, their placement, and what is left to do."""
