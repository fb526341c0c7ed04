"""Append-only JSON lines with one writer each: events, their writer and their reader."""
