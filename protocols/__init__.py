"""By which rules: frozen protocol values, splits and folds, and the datasets' facts. No torch in here."""
