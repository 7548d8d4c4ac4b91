import pytest

from cluster.engines.sampling import SampledRequest, Sampling, defaults, sampling
from cluster.settings.generation import GenerationDefaults

FOLDER = {"do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "max_new_tokens": 64, "eos_token_id": 2}


def wanted(settings: GenerationDefaults | None = None, *, room: int = 100, choice: int = 0, **given) -> Sampling:
    folder = FOLDER if settings is not None else {}
    otherwise = defaults(settings or GenerationDefaults(), folder)
    return sampling(SampledRequest(**given), otherwise, room=room, choice=choice)


def test_with_nothing_said_anywhere_sampling_is_neutral() -> None:
    assert wanted() == Sampling(
        temperature=1.0, top_p=1.0, top_k=0, min_p=0.0, repetition_penalty=1.0, max_tokens=100, seed=None
    )


def test_the_folder_speaks_where_settings_and_request_are_silent() -> None:
    found = wanted(GenerationDefaults())
    assert (found.temperature, found.top_p, found.top_k, found.max_tokens) == (0.7, 0.8, 20, 64)


def test_settings_win_over_the_folder_and_the_request_over_both() -> None:
    found = wanted(GenerationDefaults(temperature=0, top_p=0.5), top_p=1.0, max_tokens=50)
    assert (found.temperature, found.top_p, found.top_k, found.max_tokens) == (0, 1.0, 20, 50)


def test_minus_one_is_all_tokens_as_at_vllm() -> None:
    assert wanted(GenerationDefaults(), top_k=-1).top_k == 0


def test_never_more_than_fits_or_than_the_folder_allows() -> None:
    assert wanted(GenerationDefaults(), max_tokens=80, room=30).max_tokens == 30
    assert wanted(GenerationDefaults(), max_tokens=80).max_tokens == 64


@pytest.mark.parametrize(("seed", "choice", "found"), [(None, 1, None), (7, 0, 7), (7, 2, 9)])
def test_choices_of_one_seed_have_seeds_of_their_own(seed: int | None, choice: int, found: int | None) -> None:
    assert wanted(seed=seed, choice=choice).seed == found
