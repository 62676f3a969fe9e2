/* Lanes: one vector of LANES floats, in three builds of one source.
 *
 * A lane holds one group of weights, and does what the scalar quantiser does to it, operation by operation, in
 * the same order. IEEE arithmetic then makes every lane's result the scalar one. So: no fused multiply-add, no
 * reassociation, and comparisons that treat NaN as the scalar code's do.
 * Of the operations here, least(a, b) is a < b ? a : b and most(a, b) is a > b ? a : b, with b for NaN.
 * Knows nothing of types or blocks.
 */
#ifndef PRISMFS_LANES_H
#define PRISMFS_LANES_H

#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)

#define LANES 16
typedef __m512 floats;
typedef __m512i ints;
typedef __mmask16 mask;
INLINE floats all_of(float x) { return _mm512_set1_ps(x); }
INLINE floats load(const float *from) { return _mm512_loadu_ps(from); }
INLINE void store(float *to, floats a) { _mm512_storeu_ps(to, a); }
INLINE floats least(floats a, floats b) { return _mm512_min_ps(a, b); }
INLINE floats most(floats a, floats b) { return _mm512_max_ps(a, b); }
INLINE floats root(floats a) { return _mm512_sqrt_ps(a); }
INLINE floats magnitude(floats a) { return _mm512_abs_ps(a); }
INLINE floats with_sign(floats a, floats of) {
    return _mm512_or_ps(a, _mm512_and_ps(of, _mm512_set1_ps(-0.0f)));
}
INLINE mask less(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
INLINE mask at_most(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
INLINE mask equal(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE mask unequal(floats a, floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
INLINE mask both(mask a, mask b) { return a & b; }
INLINE mask either(mask a, mask b) { return a | b; }
INLINE uint32_t bits(mask a) { return a; }
INLINE floats choose(mask when, floats a, floats b) { return _mm512_mask_blend_ps(when, b, a); }
INLINE ints all_of_int(int32_t x) { return _mm512_set1_epi32(x); }
INLINE ints least_int(ints a, ints b) { return _mm512_min_epi32(a, b); }
INLINE ints most_int(ints a, ints b) { return _mm512_max_epi32(a, b); }
INLINE ints and_int(ints a, ints b) { return _mm512_and_si512(a, b); }
INLINE ints minus_int(ints a, ints b) { return _mm512_sub_epi32(a, b); }
INLINE ints as_ints(floats a) { return _mm512_castps_si512(a); }
INLINE floats to_floats(ints a) { return _mm512_cvtepi32_ps(a); }
INLINE ints truncated(floats a) { return _mm512_cvttps_epi32(a); }
INLINE floats rounded(floats a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

#elif defined(__AVX2__) && defined(__F16C__)

#define LANES 8
typedef __m256 floats;
typedef __m256i ints;
typedef __m256 mask;
INLINE floats all_of(float x) { return _mm256_set1_ps(x); }
INLINE floats load(const float *from) { return _mm256_loadu_ps(from); }
INLINE void store(float *to, floats a) { _mm256_storeu_ps(to, a); }
INLINE floats least(floats a, floats b) { return _mm256_min_ps(a, b); }
INLINE floats most(floats a, floats b) { return _mm256_max_ps(a, b); }
INLINE floats root(floats a) { return _mm256_sqrt_ps(a); }
INLINE floats magnitude(floats a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE floats with_sign(floats a, floats of) {
    return _mm256_or_ps(a, _mm256_and_ps(of, _mm256_set1_ps(-0.0f)));
}
INLINE mask less(floats a, floats b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
INLINE mask at_most(floats a, floats b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
INLINE mask equal(floats a, floats b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
INLINE mask unequal(floats a, floats b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
INLINE mask both(mask a, mask b) { return _mm256_and_ps(a, b); }
INLINE mask either(mask a, mask b) { return _mm256_or_ps(a, b); }
INLINE uint32_t bits(mask a) { return (uint32_t)_mm256_movemask_ps(a); }
INLINE floats choose(mask when, floats a, floats b) { return _mm256_blendv_ps(b, a, when); }
INLINE ints all_of_int(int32_t x) { return _mm256_set1_epi32(x); }
INLINE ints least_int(ints a, ints b) { return _mm256_min_epi32(a, b); }
INLINE ints most_int(ints a, ints b) { return _mm256_max_epi32(a, b); }
INLINE ints and_int(ints a, ints b) { return _mm256_and_si256(a, b); }
INLINE ints minus_int(ints a, ints b) { return _mm256_sub_epi32(a, b); }
INLINE ints as_ints(floats a) { return _mm256_castps_si256(a); }
INLINE floats to_floats(ints a) { return _mm256_cvtepi32_ps(a); }
INLINE ints truncated(floats a) { return _mm256_cvttps_epi32(a); }
INLINE floats rounded(floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

#else /* any processor: vectors of the compiler, and SSE2's own words for what these cannot say */

#define LANES 4
typedef float floats __attribute__((vector_size(16)));
typedef int32_t ints __attribute__((vector_size(16)));
typedef ints mask;
INLINE floats all_of(float x) { return (floats){x, x, x, x}; }
INLINE floats load(const float *from) {
    floats a;
    memcpy(&a, from, sizeof a);
    return a;
}
INLINE void store(float *to, floats a) { memcpy(to, &a, sizeof a); }
INLINE floats choose(mask when, floats a, floats b) { return (floats)((when & (ints)a) | (~when & (ints)b)); }
INLINE mask less(floats a, floats b) { return a < b; }
INLINE mask at_most(floats a, floats b) { return a <= b; }
INLINE mask equal(floats a, floats b) { return a == b; }
INLINE mask unequal(floats a, floats b) { return a != b; }
INLINE mask both(mask a, mask b) { return a & b; }
INLINE mask either(mask a, mask b) { return a | b; }
#if defined(__SSE2__)
INLINE floats least(floats a, floats b) { return (floats)_mm_min_ps((__m128)a, (__m128)b); }
INLINE floats most(floats a, floats b) { return (floats)_mm_max_ps((__m128)a, (__m128)b); }
INLINE floats root(floats a) { return (floats)_mm_sqrt_ps((__m128)a); }
INLINE uint32_t bits(mask a) { return (uint32_t)_mm_movemask_ps((__m128)a); }
INLINE ints truncated(floats a) { return (ints)_mm_cvttps_epi32((__m128)a); }
#else
INLINE floats least(floats a, floats b) { return choose(a < b, a, b); }
INLINE floats most(floats a, floats b) { return choose(a > b, a, b); }
INLINE floats root(floats a) {
    return (floats){__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}
INLINE uint32_t bits(mask a) {
    return (uint32_t)((a[0] & 1) | (a[1] & 2) | (a[2] & 4) | (a[3] & 8));
}
INLINE ints truncated(floats a) { return __builtin_convertvector(a, ints); }
#endif
INLINE floats magnitude(floats a) { return (floats)((ints)a & 0x7fffffff); }
INLINE floats with_sign(floats a, floats of) { return (floats)((ints)a | ((ints)of & INT32_MIN)); }
INLINE ints all_of_int(int32_t x) { return (ints){x, x, x, x}; }
INLINE ints least_int(ints a, ints b) { return ((a < b) & a) | (~(a < b) & b); }
INLINE ints most_int(ints a, ints b) { return ((a > b) & a) | (~(a > b) & b); }
INLINE ints and_int(ints a, ints b) { return a & b; }
INLINE ints minus_int(ints a, ints b) { return a - b; }
INLINE ints as_ints(floats a) { return (ints)a; }
INLINE floats to_floats(ints a) { return __builtin_convertvector(a, floats); }
INLINE floats rounded(floats a) { return (a + all_of(12582912.0f)) - all_of(12582912.0f); } /* below 2^22 */

#endif

/* Sixteen bytes at a time, for what is packed tighter than bytes. */
typedef uint8_t bytes __attribute__((vector_size(16)));
INLINE bytes load_bytes(const uint8_t *from) {
    bytes a;
    memcpy(&a, from, sizeof a);
    return a;
}
INLINE void store_bytes(uint8_t *to, bytes a) { memcpy(to, &a, sizeof a); }

INLINE int any(mask a) { return bits(a) != 0; }
INLINE int every(mask a) { return bits(a) == (uint32_t)((1 << LANES) - 1); }

/* A search works on WAYS vectors at once, which hides the latency of one addition behind another's. */
enum { WAYS = 2, STEP = WAYS * LANES, WIDTH = LANES < 8 ? 16 : 32 };
#define EACH_WAY(k) for (int k = 0; k < WAYS; k++)

#endif
