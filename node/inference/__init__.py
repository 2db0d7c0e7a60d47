"""6. Run: the worker process, its networks and the queue they serve."""
