"""The torch-free wing: bundles in, predictions out."""
