"""Give a candidate traffic step by step, and judge it by live counters."""
