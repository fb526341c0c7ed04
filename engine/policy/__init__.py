"""Deciding: verdicts and history in, the next action out. Pure functions."""
