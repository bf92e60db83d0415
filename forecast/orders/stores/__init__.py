"""The order store: exports kept load by load, so that what was known on a day can be seen again."""
