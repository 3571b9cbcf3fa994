"""Score a table of rows with a verified release, as the endpoint would."""
