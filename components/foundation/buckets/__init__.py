"""The site's buckets: their names, how they have to be, and what makes them so."""
