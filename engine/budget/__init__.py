"""Money: a ledger derived from the keepers' heartbeats, forecasts, caps. Pure functions."""
