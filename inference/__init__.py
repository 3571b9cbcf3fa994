"""What runs inside serving pods."""
