"""The screen: reads snapshots, asks the service, knows nothing of processes and files below it."""
