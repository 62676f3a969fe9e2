"""Meta's and Mistral's own forms of a model against the converters that know them: `make meta-check`."""
