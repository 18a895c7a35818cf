"""Modules that every process uses: settings, logs, health probes, orderly shutdown, addresses, TLS and clocks."""
