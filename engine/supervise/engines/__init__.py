"""Engines that are kept loaded: what their keeper minds, and how others find, start and stop them."""
