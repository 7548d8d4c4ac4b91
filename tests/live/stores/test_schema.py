from tests.unit.stores.test_schema import *  # noqa: F403 - the same tests, with this folder's databases
