"""Market Pulse gateway: live prices over Server-Sent Events and REST."""
