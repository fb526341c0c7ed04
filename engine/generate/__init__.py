"""The generator (`python -m engine.generate`): prompts, critics, cleaning, pipeline, records, artifacts."""
