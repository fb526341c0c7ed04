"""Processes of runs: who they are, who keeps them, how they are started and how they are really stopped."""
