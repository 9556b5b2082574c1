"""One training run: settings, training, evaluation, saving."""
