"""Pilothouse's core: everything but the screen. Imports nothing of `tui`, textual or rich."""

__version__ = "0.1.0"
