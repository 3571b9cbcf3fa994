"""What puts a sealed release into a serving pod, or refuses to."""
