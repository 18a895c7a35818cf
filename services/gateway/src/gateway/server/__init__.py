"""The HTTP server: its connections, and how it stops."""
