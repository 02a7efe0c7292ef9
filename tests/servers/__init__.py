"""Real servers for tests: on loopback, in folders of their own, ended by their process ids."""
