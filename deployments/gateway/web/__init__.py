"""The React UI of `web/`, served as it was built."""
