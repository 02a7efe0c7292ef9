"""Verification below the chain: manifests, files, rows, ledgers, and the lake again."""
