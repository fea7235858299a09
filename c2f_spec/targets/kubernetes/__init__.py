"""Kubernetes: one plain `batch/v1` Job a stage instance."""
