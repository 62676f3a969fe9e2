/* Blocks of 32 across the lanes: what the simple types need of a block at once. Largest and smallest do not
 * depend on an order, so here a block fills whole vectors instead of a lane.
 */
#ifndef PRISMFS_BLOCKS_H
#define PRISMFS_BLOCKS_H

#include "numbers.h"

enum { BLOCK = 32, VECTORS = BLOCK / LANES };
#define EACH_VECTOR(v) for (int v = 0; v < VECTORS; v++)

INLINE void load_block(const float *x, floats *a) { EACH_VECTOR(v) a[v] = load(x + v * LANES); }

INLINE floats of_all(floats (*pick)(floats, floats), const floats *a) {
    floats b[VECTORS];
    EACH_VECTOR(v) b[v] = a[v];
    for (int n = VECTORS / 2; n > 0; n /= 2)
        for (int v = 0; v < n; v++)
            b[v] = pick(b[v], b[v + n]);
    return b[0];
}

INLINE float highest(floats a) {
#if LANES >= 8
#if LANES == 16
    __m256 half = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
#else
    __m256 half = a;
#endif
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
#else
    float low = a[0] > a[1] ? a[0] : a[1], high = a[2] > a[3] ? a[2] : a[3];
    return low > high ? low : high;
#endif
}

INLINE float largest_magnitude(const floats *a) {
    floats b[VECTORS];
    EACH_VECTOR(v) b[v] = magnitude(a[v]);
    return highest(of_all(most, b));
}

INLINE float largest_of(const floats *a) { return highest(of_all(most, a)); }

INLINE float smallest_of(const floats *a) { return -highest(all_of(-0.0f) - of_all(least, a)); }

/* The first weight of the block, which begins at `from`, for which `found` has a bit. */
INLINE float first_with(const float *from, uint32_t found) { return from[__builtin_ctz(found)]; }

/* The weight of largest magnitude, the first one of several. */
INLINE float extreme_of(const float *from, const floats *a) {
    const float high = largest_of(a), low = smallest_of(a);
    if (__builtin_expect(high != -low, 1)) { /* which of them is anybody's guess, so there is no branch */
        const uint32_t of_high = 0 - (uint32_t)(high > -low);
        return float_of((word_of(high) & of_high) | (word_of(low) & ~of_high));
    }
    if (high == 0)
        return 0;
    uint32_t found = 0;
    EACH_VECTOR(v) found |= bits(equal(magnitude(a[v]), all_of(high))) << (v * LANES);
    return first_with(from, found);
}

/* The smallest weight: of zeros, which have signs, the first one. */
INLINE float least_of(const float *from, const floats *a) {
    const float low = smallest_of(a);
    if (__builtin_expect(low != 0, 1))
        return low;
    uint32_t found = 0;
    EACH_VECTOR(v) found |= bits(equal(a[v], all_of(0))) << (v * LANES);
    return first_with(from, found);
}

/* Whole numbers of -128 to 127 as bytes. */
INLINE void pack(uint8_t *to, const ints *a) {
#if LANES == 16
    _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8(a[0]));
    _mm_storeu_si128((__m128i *)(to + 16), _mm512_cvtepi32_epi8(a[1]));
#elif LANES == 8
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(a[0], a[1]), _mm256_packs_epi32(a[2], a[3]));
    packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)to, packed);
#elif defined(__SSE2__)
    for (int v = 0; v < VECTORS; v += 4) {
        __m128i low = _mm_packs_epi32((__m128i)a[v], (__m128i)a[v + 1]);
        __m128i high = _mm_packs_epi32((__m128i)a[v + 2], (__m128i)a[v + 3]);
        _mm_storeu_si128((__m128i *)(to + v * LANES), _mm_packs_epi16(low, high));
    }
#else
    EACH_VECTOR(v) for (int i = 0; i < LANES; i++) to[v * LANES + i] = (uint8_t)a[v][i];
#endif
}

/* Two quants of four bits a byte: the first half of the block below the second. */
INLINE void put_nibbles(uint8_t *to, const uint8_t *l) {
    store_bytes(to, (load_bytes(l) & 15) | load_bytes(l + BLOCK / 2) << 4);
}

/* The fifth bits, one for each weight. */
INLINE void put_fifth_bits(uint8_t *to, const uint8_t *l) {
    uint32_t fifth = 0;
#if defined(__SSE2__)
    for (int i = 0; i < BLOCK; i += 16) {
        __m128i shifted = _mm_slli_epi16(_mm_loadu_si128((const __m128i *)(l + i)), 3);
        fifth |= (uint32_t)_mm_movemask_epi8(shifted) << i;
    }
#else
    for (int i = 0; i < BLOCK; i++)
        fifth |= (uint32_t)(l[i] >> 4 & 1) << i;
#endif
    memcpy(to, &fifth, sizeof fifth);
}

#endif
