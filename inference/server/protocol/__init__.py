"""The wire formats: Open Inference Protocol v2 in JSON, binary and gRPC, and v1."""
