"""Open files: descriptors, the open file descriptions behind them, and what those refer to."""
