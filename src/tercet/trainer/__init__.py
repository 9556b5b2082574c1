"""Training on `transformers.Trainer`: arguments, the step, and what is remembered of a run."""
