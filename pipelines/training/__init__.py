"""The built-in models: data generators, training and evaluation."""
