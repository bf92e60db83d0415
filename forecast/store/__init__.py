"""Files that last: outputs written whole or not at all, saved models verified on every read."""
