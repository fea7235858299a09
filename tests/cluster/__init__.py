"""End to end against any cluster: see conftest.py for what it needs."""
