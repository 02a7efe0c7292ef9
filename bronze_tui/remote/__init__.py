"""What plugins of remote places share: patience, conditional writes, leases, counted requests."""
