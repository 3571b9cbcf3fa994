"""Tell what a run did, on one page that loads nothing."""
