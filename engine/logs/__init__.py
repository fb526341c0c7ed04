"""Logs of programs that nobody vouches for: read from the end, by offset, and made safe to show."""
