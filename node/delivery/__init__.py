"""8. Send back: the outbox, its loop and the SCU that carries result objects to a destination."""
