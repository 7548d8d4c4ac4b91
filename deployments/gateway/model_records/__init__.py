"""What came of the requests to each model: counted here, written to the database, shown."""
