"""Strategies that come along: examples to read, baselines to beat."""
