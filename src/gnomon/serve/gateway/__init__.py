"""The door for people: reads the store and answers; it never runs a forecaster."""
