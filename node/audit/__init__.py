"""The audit trail: who sent, received and changed what of which patient, apart from the log."""
