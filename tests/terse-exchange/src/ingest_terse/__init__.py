"""An invented exchange whose answers have no numbers and whose ticker comes only with each match. The contract tests run on it."""
