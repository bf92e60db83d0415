"""Formulas, one file a model: pure functions on arrays, in the papers' symbols, one reference each."""
