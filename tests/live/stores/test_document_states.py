from tests.unit.stores.test_document_states import *  # noqa: F403 - the same tests, with this folder's databases
