"""The pictures in README and docs, taken of the real screen on real runs: `make pictures`."""
