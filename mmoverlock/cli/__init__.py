"""The command line: parsers, flags, one-line errors, launching. No other room knows flags."""
