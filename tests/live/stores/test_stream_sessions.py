from tests.unit.stores.test_stream_sessions import *  # noqa: F403 - the same tests, with this folder's databases
