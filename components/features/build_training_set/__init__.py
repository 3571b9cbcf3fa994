"""Join features to entity rows as they were known at each row's time."""
