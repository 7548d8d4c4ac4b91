"""What everything stands on: types, settings, engines and stores. It knows no deployment and no pipeline."""
