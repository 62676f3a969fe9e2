"""base ** exponent in float32, to the last bit as PyTorch has it: rope_freqs depends on every bit.

PyTorch computes sixteen powers at a time (AVX2, two vectors of eight) with SLEEF's `powf`, which is within
1 ULP and not always the nearest number; what is left over goes to the C library, whose results are the
nearest but for one in thousands. The algorithm and its constants are SLEEF 3's (logkf and expkf of
sleefsimdsp.c, with fused multiply-add), in which a pair (high, low) of float32 stands for their sum.
Plain IEEE operations only, so that every machine gives the same bytes. Knows nothing of models.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_F32 = np.float32
_Floats = npt.NDArray[np.float32]
_Pair = tuple[_Floats, _Floats]

_AT_A_TIME = 16
# atanh's series, of which the last coefficient is a pair; ln 2 as a pair.
_LOG = (_F32(0.240320354700088500976562), _F32(0.285112679004669189453125), _F32(0.400007992982864379882812))
_LOG_LAST = (_F32(0.66666662693023681640625), _F32(3.69183861259614332084311e-09))
_LN2 = (_F32(0.69314718246459960938), _F32(-1.904654323148236017e-09))
# exp's series; ln 2 in two parts, of which the first has few bits.
_EXP = tuple(
    map(
        _F32,
        (
            0.00136324646882712841033936, 0.00836596917361021041870117, 0.0416710823774337768554688,
            0.166665524244308471679688, 0.499999850988388061523438,
        ),
    )
)  # fmt: skip
_LN2_PARTS = (_F32(0.693145751953125), _F32(1.428606765330187045e-06))


def powers(base: float, exponents: _Floats) -> _Floats:
    """base ** exponents, for a positive normal float32 and results within its range."""
    whole = len(exponents) // _AT_A_TIME * _AT_A_TIME
    rest = [math.pow(_F32(base), float(exponent)) for exponent in exponents[whole:]]
    vector = _exp(_scaled(_log(np.full(whole, base, _F32)), exponents[:whole]))
    return np.concatenate([vector, np.array(rest, _F32)])


def _log(numbers: _Floats) -> _Pair:
    """ln as a pair: 2 atanh((m - 1) / (m + 1)) of the mantissa, and ln 2 for each power of two."""
    exponent = np.frexp(numbers * _F32(1 / 0.75))[1] - 1
    mantissa = np.ldexp(numbers, -exponent)
    one = np.ones_like(numbers)
    x = _divided(_sum(mantissa, -one), _sum(mantissa, one))
    square = _product(x, x)
    series = _polynomial(_LOG, square[0])
    high, low = _scaled(square, series)
    last = _sum(high, np.full_like(high, _LOG_LAST[0]))
    twos = _scaled((one * _LN2[0], one * _LN2[1]), exponent.astype(_F32))
    result = _added(twos, (x[0] * _F32(2), x[1] * _F32(2)))
    return _added(result, _product(_product(square, x), (last[0], last[1] + (low + _LOG_LAST[1]))))


def _exp(pair: _Pair) -> _Floats:
    twos = np.rint((pair[0] + pair[1]) * _F32(1 / math.log(2)))
    high, low = pair
    for part in _LN2_PARTS:
        high, error = _sum(high, twos * -part)
        low = error + low
    total = high + low
    rest = (total, (high - total) + low)
    series = _polynomial(_EXP, rest[0])
    result = _added(rest, _scaled(_product(rest, rest), series))
    high, low = _added((np.ones_like(total), np.zeros_like(total)), result)
    power: _Floats = np.ldexp(high + low, twos.astype(np.int32))
    return power


def _polynomial(coefficients: tuple[np.float32, ...], x: _Floats) -> _Floats:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = _fused(value, x, np.full_like(x, coefficient))
    return value


def _sum(a: _Floats, b: _Floats) -> _Pair:
    """a + b, and what rounding left out."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def _added(a: _Pair, b: _Pair) -> _Pair:
    """The sum of two pairs of which the first is the larger."""
    total = a[0] + b[0]
    return total, (((a[0] - total) + b[0]) + a[1]) + b[1]


def _scaled(a: _Pair, b: _Floats) -> _Pair:
    high = a[0] * b
    return high, _fused(a[1], b, _fused(a[0], b, -high))


def _product(a: _Pair, b: _Pair) -> _Pair:
    high = a[0] * b[0]
    return high, _fused(a[0], b[1], _fused(a[1], b[0], _fused(a[0], b[0], -high)))


def _divided(a: _Pair, b: _Pair) -> _Pair:
    inverse = _F32(1) / b[0]
    high = a[0] * inverse
    error = _fused(-b[1], inverse, _fused(-b[0], inverse, np.ones_like(high)))
    return high, _fused(high, error, _fused(a[1], inverse, _fused(inverse, a[0], -high)))


def _fused(a: _Floats, b: _Floats, c: _Floats) -> _Floats:
    """a * b + c, rounded once: exact in float64 but for the sum, which is rounded to odd before float32."""
    product, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product + addend
    other = total - product
    error = (product - (total - other)) + (addend - other)
    even = total.view(np.int64) & 1 == 0
    toward = np.copysign(np.inf, error)
    return np.where((error != 0) & even, np.nextafter(total, toward), total).astype(_F32)
