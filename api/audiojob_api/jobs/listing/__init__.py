"""Jobs as the read model and the archive hold them, and lists of them: filters, orders, cursors. Pure."""
