"""The connections, and how they end."""
