import numpy as np
import pytest

from pipelines.analysis import student
from pipelines.analysis.expected_width import expected_half_width
from tests.unit.analysis.sweeps import frame, world


def test_at_the_first_look_it_is_the_width_that_is_seen():
    blocks = frame(world(1, 12, 3, 4)).blocks("overall")
    seen = student.half_width(student.columns_of(blocks.mean))
    np.testing.assert_allclose(expected_half_width(blocks, blocks), seen, rtol=1e-9)


def test_later_repeats_take_off_what_repeats_leave_and_no_more():
    found = frame(world(1, 40, 1, 10))
    first, now = found.upto(2).blocks("overall"), found.blocks("overall")
    wide, narrow = (float(expected_half_width(first, each)[0]) for each in (first, now))
    unit = student.half_width(student.Columns(n=np.array([40]), mean=np.zeros(1), sd=np.ones(1)))[0]
    assert (wide**2 - narrow**2) / unit**2 == pytest.approx(9 / 2 - 9 / 10, rel=0.35)  # repeats' variance is 9
    assert narrow > 0.8 * wide  # prompts, whose variance is 64, are as many as before


def test_the_first_repeats_of_a_frame_keep_its_prompts_and_configurations():
    found = frame(world(1, 3, 2, 5))
    part = found.upto(2)
    assert (part.prompts, part.configurations, len(part)) == (found.prompts, found.configurations, 12)
    np.testing.assert_allclose(part.blocks("overall").mean, world(1, 3, 2, 5)[:, :, :2].mean(axis=2))


def test_one_prompt_has_no_width():
    blocks = frame(world(1, 1, 2, 3)).blocks("overall")
    assert np.isnan(expected_half_width(blocks, blocks)).all()
