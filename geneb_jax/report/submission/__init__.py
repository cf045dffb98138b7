"""Results for others: GENEB's submission file with its model card, and MTEB's files."""
