"""One estimator per file. Each follows scikit-learn's contract and shares its model with the runtime."""
