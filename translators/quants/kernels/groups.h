/* Groups: the workspace of the searches, and the way of weights into lanes and back.
 *
 * A group is the 16 or 32 consecutive weights that share a scale; one lane has one group. The three numbers
 * that a search keeps of a weight lie beside each other, weight after weight: were they arrays of their own,
 * 4 KiB apart, each load would wait for a store to the other array that looks as if it were to its address.
 */
#ifndef PRISMFS_GROUPS_H
#define PRISMFS_GROUPS_H

#include "numbers.h"

/* Of one weight of every group: the weight, how much its error counts, and what the search keeps of it. */
typedef struct {
    float x[WIDTH], w[WIDTH], kept[WIDTH];
} weight;

typedef struct {
    weight of[32];
    float scale[WIDTH], low[WIDTH];   /* the best fit: x = scale * quant + low */
    float factor[WIDTH], base[WIDTH]; /* its quants: nearest(factor * (x - base)) */
    float early[WIDTH];               /* nonzero: the fit is the first one, whose quants are not clamped first */
    float total[WIDTH];               /* sum of w */
} ALIGNED groups;

enum { STRIDE = sizeof(weight) / sizeof(float) };

#if LANES >= 8
/* Eight rows of eight become eight columns. Strides count floats. */
INLINE void turn(const float *from, int from_stride, float *to, int to_stride) {
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps(from + i * from_stride);
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * to_stride, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * to_stride, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}
#else
INLINE void turn(const float *from, int from_stride, float *to, int to_stride) {
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            to[j * to_stride + i] = from[i * from_stride + j];
}
#endif

/* Groups of `n` weights each, one after the other in `from`: group g's go to lane g of `to`. */
INLINE void spread(const float *from, int n, float *to) {
    for (int g = 0; g < WIDTH; g += 8)
        for (int i = 0; i < n; i += 8)
            turn(from + g * n + i, n, to + i * STRIDE + g, STRIDE);
}

/* What was kept of the weights of eight groups, from lane `g` on: small whole numbers, as bytes. */
INLINE void gather(const groups *s, int n, int g, uint8_t *to) {
    for (int i = 0; i < n; i += 8) {
        float rows[8][8] ALIGNED;
        turn(&s->of[i].kept[g], STRIDE, &rows[0][0], 8);
        for (int j = 0; j < 8; j++) {
#if LANES >= 8
            __m256i wide = _mm256_cvttps_epi32(_mm256_load_ps(rows[j]));
            __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
            _mm_storel_epi64((__m128i *)(to + j * n + i), _mm_packus_epi16(words, words));
#else
            for (int k = 0; k < 8; k++)
                to[j * n + i + k] = (uint8_t)(int32_t)rows[j][k];
#endif
        }
    }
}

#endif
