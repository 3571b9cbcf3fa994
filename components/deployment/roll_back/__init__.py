"""Take traffic back: from a candidate at once, or from a champion to a good one of before."""
