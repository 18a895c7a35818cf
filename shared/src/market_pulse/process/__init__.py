"""What every process of ours needs: settings, logs, probes, a way to end, addresses and clocks."""
