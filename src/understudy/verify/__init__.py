"""`understudy verify`: hold a live provider, or a fake, to its contract."""
