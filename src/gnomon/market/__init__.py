"""What happened: instruments, candles, trades, calendars, datasets and the as-of tape. Pure arrays and values."""
