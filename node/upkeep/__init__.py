"""Beside the data path: what a node keeps is copied, put back, rebuilt and checked."""
