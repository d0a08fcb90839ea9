"""Training of forecasters: losses, windows, recipes and a loop that survives a kill. Needs the extra `kronos`."""
