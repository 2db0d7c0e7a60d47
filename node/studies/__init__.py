"""3. Gather: the index of instances, when a study is complete, and which rule wants what of it."""
