"""A run's results: computed once, shown as a self-contained page, a PDF, charts and the sheets of a workbook."""
