"""Coverage-guided fuzzing of every parser: see `__main__.py` to run it, `parsers.py` to add a parser."""
