"""Platforms' exports: from lines to entries, from entries to orders."""
