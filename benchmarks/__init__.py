"""What Pilothouse takes in seconds; `python -m benchmarks` prints a table. No test: machines are noisy."""
