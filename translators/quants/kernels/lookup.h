/* Lookup: the nearest of sixteen uneven values, in every lane.
 *
 * A number takes the upper of two neighbours from their middle on. Middles are exact, and so are the differences
 * that the reference compares, so this is the reference's choice; NaN, below no middle, takes the highest.
 * With permutations it is a walk down a tree of middles, four steps; without, a look at each middle.
 */
#ifndef PRISMFS_LOOKUP_H
#define PRISMFS_LOOKUP_H

#include "numbers.h"

static const float VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
#define MIDDLE(i) ((VALUES[(i) - 1] + VALUES[i]) * 0.5f)

#if LANES >= 8
typedef struct {
    floats upper, lowest;     /* the tree's first three levels, from entry 1 on, and its fourth */
    floats negative, positive; /* the values */
} table;
#else
typedef struct {
    float unused;
} table;
#endif

INLINE table make_table(void) {
#if LANES >= 8
    static const int ORDER[8] = {0, 8, 4, 12, 2, 6, 10, 14};
    float upper[LANES] = {0}, lowest[LANES] = {0}, negative[LANES] = {0}, positive[LANES] = {0};
    for (int i = 0; i < 8; i++) {
        upper[i] = i ? MIDDLE(ORDER[i]) : 0;
        lowest[i] = MIDDLE(2 * i + 1);
        negative[i] = VALUES[i];
        positive[i] = VALUES[i + 8];
    }
    return (table){load(upper), load(lowest), load(negative), load(positive)};
#else
    return (table){0};
#endif
}

/* The value nearest to x, and its number. */
INLINE floats nearest_value(const table *t, floats x, floats *number) {
#if LANES == 16
    __m512i n = _mm512_set1_epi32(1);
    for (int level = 0; level < 4; level++) {
        const floats middle = level < 3 ? _mm512_permutexvar_ps(n, t->upper)
                                        : _mm512_permutexvar_ps(_mm512_and_si512(n, _mm512_set1_epi32(7)), t->lowest);
        const mask above = _mm512_cmp_ps_mask(x, middle, _CMP_NLT_UQ);
        n = _mm512_add_epi32(n, n);
        n = _mm512_mask_add_epi32(n, above, n, _mm512_set1_epi32(1));
    }
    n = _mm512_and_si512(n, _mm512_set1_epi32(15));
    const __m512i low = _mm512_and_si512(n, _mm512_set1_epi32(7));
    *number = _mm512_cvtepi32_ps(n);
    return choose(_mm512_cmp_epi32_mask(n, low, _MM_CMPINT_EQ), _mm512_permutexvar_ps(low, t->negative),
                  _mm512_permutexvar_ps(low, t->positive));
#elif LANES == 8
    __m256i n = _mm256_set1_epi32(1);
    for (int level = 0; level < 4; level++) {
        const floats middle = _mm256_permutevar8x32_ps(level < 3 ? t->upper : t->lowest, n);
        const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(x, middle, _CMP_NLT_UQ)); /* -1 where it is */
        n = _mm256_sub_epi32(_mm256_add_epi32(n, n), above);
    }
    *number = _mm256_cvtepi32_ps(_mm256_and_si256(n, _mm256_set1_epi32(15)));
    const floats is_positive = _mm256_castsi256_ps(_mm256_slli_epi32(n, 28)); /* the sign is bit 3 */
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(t->negative, n), _mm256_permutevar8x32_ps(t->positive, n),
                            is_positive);
#else
    floats n = all_of(0), value = all_of(VALUES[0]);
    (void)t;
    for (int i = 1; i < 16; i++) {
        const mask below = less(x, all_of(MIDDLE(i)));
        n = choose(below, n, all_of((float)i));
        value = choose(below, value, all_of(VALUES[i]));
    }
    *number = n;
    return value;
#endif
}

#endif
