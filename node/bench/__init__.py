"""Beside the data path: the node's real code and its peers at the same work, in turns, and how they compare."""
