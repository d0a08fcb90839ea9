"""Forecasters without training, NumPy alone: the rows that every model has to beat."""
