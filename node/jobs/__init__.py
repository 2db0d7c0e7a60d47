"""4. Queue: jobs are added, claimed with a lease and a fence token, and finished exactly once."""
