"""Pure inference, one adapter a file; `protocol` says what an engine promises, `factory` builds one."""
