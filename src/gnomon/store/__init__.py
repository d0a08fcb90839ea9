"""Memory: candles, datasets, the append-only forecast ledger and its scores, on SQLite or PostgreSQL."""
