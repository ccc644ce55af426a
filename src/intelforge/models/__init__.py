"""Language models: one gateway by URL, and a ledger that every call goes through."""
