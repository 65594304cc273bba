"""Where training runs: thin adapters, ignorant of each other."""
