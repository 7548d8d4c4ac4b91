"""spark-chat's shape and the settings of its training."""

from dataclasses import replace

from pipelines.training.recipe import Architecture, Recipe, Stretch

RECIPE = Recipe(name="spark-chat", shape=Architecture(vocab_size=3072, layers=5), steps=12_600, fall=0.54)
EXTENSION = replace(RECIPE, steps=1_500, matrix_rate=0.012, other_rate=0.0015, fall=0.9)
EARLIER: tuple[Stretch, ...] = (
    Stretch(steps=1_450, seed=0),
    Stretch(steps=1_250, seed=1),
    Stretch(steps=480, seed=2),
    Stretch(steps=420, seed=3),
)
