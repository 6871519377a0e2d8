"""Splits, forecast scores, comparisons and resampling: the statistics that forecasting and backtest share."""
