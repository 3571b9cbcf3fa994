"""Make a curated table from raw ones with one SELECT; set bad rows aside."""
