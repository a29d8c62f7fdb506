"""From probabilities to sequences: greedy, sampling, beam search, and the rules that they keep.

Torch-free and written once: an estimator decodes with the very code that a stored model does. Everything works
on ids and on log-probabilities that come from `recurra.kernels`; what remains here are comparisons, sums in
index order, and draws from a counter-based generator, so that the same seed gives the same sequence at any
thread count, alone and in a batch.
"""
