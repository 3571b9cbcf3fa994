"""A Feast offline store over Delta tables on S3: an ASOF join that drops nothing."""
