"""The curriculum goes by steps, and training draws nothing that measuring holds out."""

from random import Random

from pipelines.training.vision.curriculum import TOWER_ALONE, draw_for_tokenizer, draw_scene, tower_alone
from pipelines.training.vision.fonts import UNSEEN
from pipelines.training.vision.words import held_out

STEPS = (0, 1_000, 2_600, 3_200, 3_700, 5_000, 1_000_000)


def test_every_step_draws_scenes_of_seen_words_and_fonts_alone() -> None:
    rng = Random(3)
    for step in STEPS:
        for scene in (draw_scene(rng, step) for _ in range(150)):
            for line in scene.prints:
                assert line.font not in UNSEEN
                whole = line.text.split()[-1]  # the first of two words may be cut: see layout._words
                assert line.numeric or len(whole) == 1 or not held_out(whole)


def test_the_tower_learns_alone_at_first_and_never_at_the_end() -> None:
    assert all(tower_alone(step) for step in range(TOWER_ALONE))
    assert not any(tower_alone(step) for step in range(1_000_000, 1_000_010))


def test_the_first_pictures_are_the_simplest() -> None:
    rng = Random(4)
    assert all(len(scene.things) + len(scene.prints) <= 2 for scene in (draw_scene(rng, 0) for _ in range(100)))


def test_the_tokenizer_meets_every_kind_of_scene() -> None:
    rng = Random(5)
    scenes = [draw_for_tokenizer(rng) for _ in range(200)]
    assert any(not scene.things and not scene.prints for scene in scenes)
    assert any(len(scene.things) > 3 for scene in scenes)
    assert any(line.numeric for scene in scenes for line in scene.prints)
