"""`understudy record`: keep what a provider says, without what is nobody's business, as recordings of its contract."""
