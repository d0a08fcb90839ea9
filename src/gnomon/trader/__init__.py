"""Who decides: strategies, and the desk that is all they may touch."""
