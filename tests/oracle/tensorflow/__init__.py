"""TensorFlow's own reading of its files: what the sources here are compared with."""
