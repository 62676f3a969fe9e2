/* A product of two float32 matrices whose inner dimension is small: an adapter's factors.
 *
 * Each element is a chain of fused multiply-adds in the order of the ranks, from zero, then one multiplication
 * by `scale`. That is what the matrix libraries do for so few ranks; here it does not depend on which rows are
 * asked for. A fused multiply-add is one rounding by definition, so every build makes the same bits; it is the
 * only file that has any, and it has them by name, never by contraction.
 */
#include "kernel.h"

#include <math.h>

#if defined(__AVX512F__) && LANES == 16
#define FUSED
INLINE floats fused(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
INLINE floats times(floats a, floats b) { return _mm512_mul_ps(a, b); }
#elif defined(__AVX2__) && LANES == 8
#define FUSED __attribute__((target("fma")))
INLINE FUSED floats fused(floats a, floats b, floats c) { return _mm256_fmadd_ps(a, b, c); }
INLINE floats times(floats a, floats b) { return _mm256_mul_ps(a, b); }
#else
#define FUSED
#endif

#if LANES > 4
enum { VECTORS = 4 };

/* Two rows at a time, so that what is loaded of the right factor serves twice. Returns the columns done. */
FUSED static int64_t pair(const float *left, const float *right, int64_t rank, int64_t columns, float scale,
                          float *out, int64_t rows) {
    const float *second = left + (rows > 1 ? rank : 0);
    int64_t j = 0;
    for (; j + VECTORS * LANES <= columns; j += VECTORS * LANES) {
        floats a[VECTORS], b[VECTORS];
        for (int v = 0; v < VECTORS; v++)
            a[v] = b[v] = all_of(0);
        for (int64_t k = 0; k < rank; k++) {
            const floats x = all_of(left[k]), y = all_of(second[k]);
            for (int v = 0; v < VECTORS; v++) {
                const floats r = load(right + k * columns + j + v * LANES);
                a[v] = fused(x, r, a[v]);
                b[v] = fused(y, r, b[v]);
            }
        }
        for (int v = 0; v < VECTORS; v++) {
            store(out + j + v * LANES, times(a[v], all_of(scale)));
            if (rows > 1)
                store(out + columns + j + v * LANES, times(b[v], all_of(scale)));
        }
    }
    return j;
}
#endif

void NAMED(product)(const float *left, const float *right, int64_t rows, int64_t rank, int64_t columns,
                    float scale, float *out);

FUSED void NAMED(product)(const float *left, const float *right, int64_t rows, int64_t rank, int64_t columns,
                          float scale, float *out) {
    for (int64_t i = 0; i < rows; i += 2) {
        const int64_t both = rows - i > 1 ? 2 : 1;
        int64_t begin = 0;
#if LANES > 4
        begin = pair(left + i * rank, right, rank, columns, scale, out + i * columns, both);
#endif
        for (int64_t row = i; row < i + both; row++)
            for (int64_t j = begin; j < columns; j++) {
                float sum = 0;
                for (int64_t k = 0; k < rank; k++)
                    sum = fmaf(left[row * rank + k], right[k * columns + j], sum);
                out[row * columns + j] = sum * scale;
            }
    }
}
