"""Is a recurrent network worth it on these signals? The order of two bumps decides the class."""

import numpy as np

import recurra as rc

generator = np.random.default_rng(0)
signals, labels = [], []
for number in range(160):
    first_is_high = number % 2 == 0
    signal = 0.1 * generator.standard_normal((int(generator.integers(20, 40)), 1))
    signal[4:8] += 2.0 if first_is_high else 1.0
    signal[12:16] += 1.0 if first_is_high else 2.0
    signals.append(signal)
    labels.append("high first" if first_is_high else "low first")

network = rc.Network(cell="gru", hidden_size=16, num_layers=1)
training = rc.Training(epochs=10, learning_rate=0.01, batch_size=16)
outcome = rc.compare({"gru": rc.Classifier(network, training)}, signals, labels, seeds=1)
print(outcome)
