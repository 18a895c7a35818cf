"""OKX v5 spot, as of 2026: the public channels and the market REST API."""
