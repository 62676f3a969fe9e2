"""Benchmarks on a real model: `make bench`. Figures are told as ratios within one run; machines are noisy."""
