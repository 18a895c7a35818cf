"""Exchange feeds: pure functions that describe an exchange (`adapter`), and the code that keeps its ticks flowing."""

import market_pulse.process.unasked  # noqa: F401 - must come before libraries that read the environment on import
