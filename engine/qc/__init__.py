"""Grading: detectors, metrics, statistics, the gate. Pure functions over records; no files, no clock."""
