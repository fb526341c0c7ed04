"""What is looked for in a log, the process that looks, and what of it is in sight."""
