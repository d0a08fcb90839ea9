"""What may happen: the forecaster port, its baselines, and the forecasts they answer with."""
