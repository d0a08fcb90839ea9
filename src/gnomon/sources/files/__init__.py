"""Files of market data: recognised by content, checked row by row, turned into candles and trades."""
