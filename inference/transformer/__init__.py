"""The transformer: an entity's features from the online store, then the predictor's answer."""
