"""Data set adapters that ship with the suite, registered through entry points."""
