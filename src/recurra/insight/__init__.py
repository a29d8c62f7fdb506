"""Seeing inside: hidden states, attribution, how an answer forms, errors, and the diagnosis of training.

Records are frozen dataclasses of plain arrays and texts that `recurra.report` draws. Everything that reads a model
begins with `subject_of(model)`: a `Subject` runs the nodes of a trained model, loaded or live, with the bits of its
predictor.
"""
