"""Documents over HTTP: uploaded, listed, shown, annotated, taken out."""
