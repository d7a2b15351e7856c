"""How much of a contract was touched: what happened in tests or on a server, against what could have happened."""
