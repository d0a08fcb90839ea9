"""Pictures for people: fan charts over candles and calibration plots, as PNG or one self-contained HTML file."""
