/* F32, F16, BF16: plain numbers, rounded to nearest even. */
#include "kernel.h"

static void f32(const float *x, int64_t count, uint8_t *to, groups *s) {
    (void)s;
    memcpy(to, x, (size_t)count * 4);
}

static void f16(const float *x, int64_t count, uint8_t *to, groups *s) {
    (void)s;
    int64_t i = 0;
#if LANES >= 8
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i *)(to + 2 * i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#endif
    for (; i < count; i++)
        put16(to + 2 * i, to_half(x[i]));
}

static void bf16(const float *x, int64_t count, uint8_t *to, groups *s) {
    (void)s;
    for (int64_t i = 0; i < count; i++) {
        const uint32_t word = word_of(x[i]);
        put16(to + 2 * i, (uint16_t)((word + 0x7fff + (word >> 16 & 1)) >> 16));
    }
}

const kernel NAMED(f32) = {0, 1, 4, {-1, -1}, 0, f32, 0};
const kernel NAMED(f16) = {1, 1, 2, {-1, -1}, 0, f16, 0};
const kernel NAMED(bf16) = {30, 1, 2, {-1, -1}, 0, bf16, 0};
