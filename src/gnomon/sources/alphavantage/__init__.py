"""Alpha Vantage's REST: shares, currencies and coins, with a key and a handful of requests a day."""
