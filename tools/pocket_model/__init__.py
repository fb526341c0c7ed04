"""Grammar, training and measurement of the pocket model, a small real base model for demonstrations and tests."""
