"""Data: readers, encoders, splits, the data report and the built-in reviews."""
