"""Reading ledgers at memory speed: a grammar table, projections of it, and one compiled walker."""
