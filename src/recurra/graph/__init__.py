"""Nodes and models, each written once over `recurra.kernels`: parameters, forward, step and state.

With NumPy arrays a model answers without torch; with torch tensors the same code trains.
"""
