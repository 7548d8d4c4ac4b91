from tests.unit.stores.test_files import *  # noqa: F403 - the same tests, with this folder's databases
