from tests.unit.stores.test_idempotency import *  # noqa: F403 - the same tests, with this folder's databases
