"""The Crypto.com Exchange."""
