"""spark-chat's shape and the settings of its training."""

from pipelines.training.recipe import Architecture, Recipe

RECIPE = Recipe(name="spark-chat", shape=Architecture(vocab_size=3072, layers=5), steps=12_600, fall=0.54)
