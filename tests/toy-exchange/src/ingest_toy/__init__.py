"""A made-up exchange, added the way a real one is: the adapter contract tests run against it."""
