/* TQ1_0 and TQ2_0: super-blocks whose quants are -1, 0 and 1, and a half scale, the largest magnitude.
 *
 * TQ1_0 has five quants a byte, as digits to the base of 3 of a fraction of 256: 32 bytes of 160 quants, 16 of 80,
 * 4 of the last 16 (four quants each); then the scale. TQ2_0 has two bits a quant: 64 bytes, then the scale.
 * Where the scale's inverse is infinite, quants are zero, as on x86-64 the reference's are.
 */
#include "blocks.h"
#include "kernel.h"
#include "scales.h"

enum { ONE_BYTES = 54, TWO_BYTES = 66 };

/* The super-block's scale, and its quants with 1 added. */
INLINE float ternary(const float *x, uint8_t *quants) {
    floats a[VECTORS], widest = all_of(0);
    for (int i = 0; i < SUPER; i += LANES)
        widest = most(widest, magnitude(load(x + i)));
    const float d = highest(widest), by = d != 0 ? 1 / d : 0;
    if (__builtin_expect(__builtin_isinf(by), 0)) {
        memset(quants, 1, SUPER);
        return d;
    }
    for (int i = 0; i < SUPER; i += BLOCK) {
        ints l[VECTORS];
        load_block(x + i, a);
        EACH_VECTOR(v) { /* halves go away from zero: see simple.c */
            const floats scaled = a[v] * all_of(by);
            l[v] = truncated(scaled + with_sign(all_of(0.49999997f), scaled));
        }
        pack(quants + i, l);
    }
    for (int i = 0; i < SUPER; i += 16)
        store_bytes(quants + i, load_bytes(quants + i) + 1);
    return d;
}

/* `count` bytes of `digits` quants each, which lie `count` apart. */
INLINE void put_digits(uint8_t *to, const uint8_t *quants, const int count, const int digits) {
    for (int i = 0; i < count; i++) {
        uint32_t number = 0;
        for (int n = 0; n < 5; n++)
            number = number * 3 + (n < digits ? quants[i + n * count] : 0);
        to[i] = (uint8_t)((number * 256 + 242) / 243);
    }
}

static void tq1_0(const float *x, int64_t count, uint8_t *to, groups *s) {
    uint8_t quants[SUPER] ALIGNED;
    (void)s;
    for (; count > 0; count -= SUPER, x += SUPER, to += ONE_BYTES) {
        put16(to + 52, to_half(ternary(x, quants)));
        put_digits(to, quants, 32, 5);
        put_digits(to + 32, quants + 160, 16, 5);
        put_digits(to + 48, quants + 240, 4, 4);
    }
}

static void tq2_0(const float *x, int64_t count, uint8_t *to, groups *s) {
    uint8_t quants[SUPER] ALIGNED;
    (void)s;
    for (; count > 0; count -= SUPER, x += SUPER, to += TWO_BYTES) {
        put16(to + 64, to_half(ternary(x, quants)));
        for (int i = 0; i < 64; i += 16) {
            const uint8_t *q = quants + i / 32 * 128 + i % 32;
            store_bytes(to + i, load_bytes(q) | load_bytes(q + 32) << 2 | load_bytes(q + 64) << 4 |
                                    load_bytes(q + 96) << 6);
        }
    }
}

const kernel NAMED(tq1_0) = {34, SUPER, ONE_BYTES, {52, -1}, 0, tq1_0, 0};
const kernel NAMED(tq2_0) = {35, SUPER, TWO_BYTES, {64, -1}, 0, tq2_0, 0};
