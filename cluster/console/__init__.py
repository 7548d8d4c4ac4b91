"""What the command lines show: one-line errors, progress, tables and the status."""
