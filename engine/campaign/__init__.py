"""What a campaign file says: configuration models, loading, parameter sets, the frozen spec of a run."""
