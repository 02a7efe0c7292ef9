"""Bronze TUI: raw Stellar ledgers into verified, immutable Bronze Parquet.

The package root imports nothing, so that every command pays only for what it uses.
"""

__version__ = "0.1.0"
PRODUCER_NAME = "bronze-tui"
