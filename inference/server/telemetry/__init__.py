"""What the server says about itself: metrics, scores, traces, an access log."""
