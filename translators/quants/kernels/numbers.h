/* Numbers: half precision and back, and rounding as the quantisers round.
 *
 * A half is rounded to nearest, ties to even, as the format demands and every reference does.
 * The quantisers round by adding 1.5 * 2^23 and reading the low bits of the sum (ties to even). That is right
 * for magnitudes below 2^22; beyond, it yields the low bits of whatever came out, and those are imitated too:
 * `nearest` and `nearest_within` for any number, `near_within` for those in range, in fewer operations.
 */
#ifndef PRISMFS_NUMBERS_H
#define PRISMFS_NUMBERS_H

#include "lanes.h"

#define MAGIC 12582912.0f
#define SAFE 4194303.0f
#define TINY 1e-15f /* groups whose largest scale or weight is below it count as zero */

INLINE uint32_t word_of(float x) {
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    return word;
}

INLINE float float_of(uint32_t word) {
    float x;
    memcpy(&x, &word, sizeof x);
    return x;
}

#if LANES >= 8
INLINE float from_half(uint16_t half) { return _cvtsh_ss(half); }
INLINE uint16_t to_half(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }
#else
INLINE float from_half(uint16_t half) {
    /* The exponent's bias differs by 112; multiplying by a power of two is exact for subnormals as well. */
    uint32_t magnitude_bits = (uint32_t)(half & 0x7fff) << 13, sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t number = word_of(float_of(magnitude_bits) * 0x1p112f);
    uint32_t special = magnitude_bits | 0x7f800000;
    return float_of(sign | (magnitude_bits >= 0x0f800000 ? special : number));
}

INLINE uint16_t to_half(float x) {
    uint32_t word = word_of(x), sign = word >> 16 & 0x8000, magnitude_bits = word & 0x7fffffff;
    uint32_t odd = magnitude_bits >> 13 & 1;
    /* Normal halves: drop 13 bits, rounding; the carry into the exponent is the right one, up to infinity. */
    uint32_t normal = (magnitude_bits - 0x38000000 + 0xfff + odd) >> 13;
    /* Subnormal ones: the sum with 0.5 has the half's unit as its last place, so the addition rounds. */
    uint32_t small = word_of(float_of(magnitude_bits) + 0.5f) - 0x3f000000;
    uint32_t half = magnitude_bits < 0x38800000 ? small : normal;
    if (magnitude_bits >= 0x47800000)
        half = magnitude_bits > 0x7f800000 ? 0x7e00 : 0x7c00;
    return (uint16_t)(sign | half);
}
#endif

INLINE int32_t nearest(float x) {
    uint32_t word = word_of(x + MAGIC);
    return (int32_t)(word & 0x007fffff) - 0x00400000;
}

INLINE floats nearest_within(floats x, int32_t low, int32_t high) {
    ints word = and_int(as_ints(x + all_of(MAGIC)), all_of_int(0x007fffff));
    ints rounded = minus_int(word, all_of_int(0x00400000));
    return to_floats(most_int(all_of_int(low), least_int(all_of_int(high), rounded)));
}

/* For |x| <= SAFE. A zero may have either sign, except where `low` is zero. */
INLINE floats near_within(floats x, float low, float high) {
    return least(most(rounded(x), all_of(low)), all_of(high));
}

/* Two bytes at any address. */
typedef uint16_t half_word __attribute__((may_alias, aligned(1)));

INLINE void put16(uint8_t *to, uint16_t word) { *(half_word *)to = word; }

#endif
