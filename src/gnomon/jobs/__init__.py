"""Work for later: handlers that compose the packages below into one unit of work."""
