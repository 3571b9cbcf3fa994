"""Kubeflow Pipelines as its users use it: upload, run and schedule, each as often as you like."""
