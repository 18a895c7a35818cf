"""An invented exchange, added like a real one. The adapter contract tests run on it."""
