"""Files that are whole or absent, and work over many items."""
