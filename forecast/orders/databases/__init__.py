"""Databases of shops as a source of orders."""
