"""The outside's data: files of every layout we know, and the trading calendars that own future timestamps."""
