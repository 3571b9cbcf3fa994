"""Judge where a site keeps its bytes."""
