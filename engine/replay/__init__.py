"""Rebuilds the picture from the files: reads what was appended since the last look, and nothing twice."""
