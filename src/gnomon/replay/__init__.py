"""The session: history goes by, the trader decides, the venue answers, and all of it is kept."""
