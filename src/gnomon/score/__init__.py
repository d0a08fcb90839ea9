"""How good: metrics, skill against the reference, intervals and verdicts. Pure NumPy."""
