"""The venue: live sessions behind a Binance-shaped REST, WebSocket and WebSocket API."""
