"""The modules of a model: transformer, pooling, dense and normalize."""
