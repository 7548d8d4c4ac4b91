from tests.unit.stores.test_model_records import *  # noqa: F403 - the same tests, with this folder's databases
