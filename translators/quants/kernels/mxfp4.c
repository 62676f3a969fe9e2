/* MXFP4: blocks of 32 with a power of two for a scale, and quants of four bits: a sign, and one of eight values.
 *
 * Block: the power's exponent, 16 bytes of quants. The exponent is that of the weight of largest magnitude, as the
 * mathematical library's logarithm has it: just below a power of two that rounds up. Where it is below what a byte
 * holds, the reference's byte wraps around, to a huge scale of which all quants are zero.
 * Values times a power of two are exact, and so are a number's distances from its neighbours; so the reference's
 * search for the nearest is a comparison with the middles. Of two as near it takes the smaller.
 */
#include <math.h>

#include "blocks.h"
#include "kernel.h"

enum { BYTES = 17, STEPS = 7 };

/* Middles between 0, 1, 2, 3, 4, 6, 8, 12: all that the quants can be, but for a sign. */
static const float MIDDLES[STEPS] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
static const float UPPER[STEPS] = {1, 2, 3, 4, 6, 8, 12};

static uint8_t exponent_of(float largest) {
    const uint32_t word = word_of(largest);
    /* Far enough below the next power, and no subnormal: no logarithm errs by that much. */
    if ((word & 0x7fffff) < 0x7ff000 && word >> 23)
        return (uint8_t)((word >> 23) - 2);
    return largest > 0 ? (uint8_t)(int32_t)(floorf(log2f(largest)) - 2 + 127) : 0;
}

/* Half of what the exponent says, as the values are twice what the format means. */
static float scale_of(uint8_t exponent) {
    return float_of(exponent < 2 ? UINT32_C(0x00200000) << exponent : (uint32_t)(exponent - 1) << 23);
}

static void mxfp4(const float *x, int64_t count, uint8_t *to, groups *s) {
    (void)s;
    uint8_t quants[BLOCK] ALIGNED;
    floats a[VECTORS];
    ints l[VECTORS];
    for (; count > 0; count -= BLOCK, x += BLOCK, to += BYTES) {
        load_block(x, a);
        to[0] = exponent_of(largest_magnitude(a));
        const float scale = scale_of(to[0]);
        floats middle[STEPS];
        for (int i = 0; i < STEPS; i++) /* what overflows is far from everything */
            middle[i] = all_of(__builtin_isinf(UPPER[i] * scale) ? __builtin_inff() : MIDDLES[i] * scale);
        EACH_VECTOR(v) {
            const floats size = magnitude(a[v]);
            floats number = all_of(0);
            for (int i = 0; i < STEPS; i++)
                number = choose(less(middle[i], size), all_of((float)i + 1), number);
            const mask negative = both(less(a[v], all_of(0)), less(all_of(0), number));
            l[v] = truncated(number + choose(negative, all_of(8), all_of(0)));
        }
        pack(quants, l);
        put_nibbles(to + 1, quants);
    }
}

const kernel NAMED(mxfp4) = {39, BLOCK, BYTES, {-1, -1}, 0, mxfp4, 0};
