"""Who may change what: tokens, how often they may be used, and the log of what was done with them."""
