"""Powers to the last bit: digests of what PyTorch 2.13 computes (x86-64, AVX2)."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from translators.families.powers import powers
from translators.families.rope import Llama3Scaling

# sha256 of base ** (arange(0, dim, 2) / dim) for dim in 32, 64, 80, 96, 128, 256, one after the other.
_DIGESTS = {
    10000.0: "24db19b9f89b53d3",
    100000.0: "351c9580da3ebdd9",
    150000.0: "bfd301aaa9f13f4c",
    500000.0: "19981c35b1912c84",
    1000000.0: "025dcbf77f048356",
    5000000.0: "ca538eb7d2a03540",
}


@pytest.mark.parametrize("base", _DIGESTS)
def test_powers_are_those_of_pytorch(base: float) -> None:
    digest = sha256()
    for dim in (32, 64, 80, 96, 128, 256):
        digest.update(powers(base, np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim)).tobytes())
    assert digest.hexdigest()[:16] == _DIGESTS[base]


@pytest.mark.parametrize(
    ("theta", "dim", "scaling", "expected"),
    [
        (500000.0, 128, Llama3Scaling(8.0, 1.0, 4.0, 8192), "8b516af9cb5db26e"),
        (500000.0, 64, Llama3Scaling(32.0, 1.0, 4.0, 8192), "d25a6d176d931306"),
        (1000000.0, 80, Llama3Scaling(4.0, 0.7, 5.3, 4096), "940c9ad1c7bcd8bb"),
    ],
)
def test_rope_factors_are_those_of_the_converter(
    theta: float, dim: int, scaling: Llama3Scaling, expected: str
) -> None:
    assert sha256(scaling.factors(theta, dim).tobytes()).hexdigest()[:16] == expected
