"""The fan-out from the bus to many streams. Nothing here knows HTTP, except for the chunks of a body."""
