"""The model that a campaign names: found, checked before it is loaded, downloaded where it is not here yet."""
