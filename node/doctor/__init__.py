"""The doctor: checks everything a node needs and says what to do about what it finds."""
