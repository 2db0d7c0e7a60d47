"""Storage commitment (PS3.4 Annex J): what one application asks another to keep safe, and what becomes of it."""
