"""Plain-text views of a snapshot: formatting, tables, the lines of `watch`."""
