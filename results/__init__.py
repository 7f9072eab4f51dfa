"""What happened: records, ledger, statistics, leaderboard and rendering. No torch in here."""
