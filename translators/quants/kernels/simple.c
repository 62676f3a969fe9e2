/* Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 without column weights: blocks of 32, scaled by their largest weight or range.
 *
 * Where the inverse of the scale is infinite (weights among the smallest subnormals), the reference casts
 * infinities to integers, which on x86-64 leaves zero bytes; so such blocks have quants of zero.
 */
#include "blocks.h"
#include "kernel.h"

void NAMED(simple_weighted_q4_0)(const float *, const float *, float, int64_t, uint8_t *, groups *);
void NAMED(simple_weighted_q4_1)(const float *, const float *, float, int64_t, uint8_t *, groups *);
void NAMED(simple_weighted_q5_0)(const float *, const float *, float, int64_t, uint8_t *, groups *);
void NAMED(simple_weighted_q5_1)(const float *, const float *, float, int64_t, uint8_t *, groups *);

INLINE float inverse(float d) { return d != 0 ? 1.0f / d : 0; }

static void q8_0(const float *x, int64_t count, uint8_t *to, groups *s) {
    (void)s;
    for (; count > 0; count -= BLOCK, x += BLOCK, to += 34) {
        floats a[VECTORS];
        ints l[VECTORS];
        load_block(x, a);
        const float d = largest_magnitude(a) / 127, by = inverse(d);
        put16(to, to_half(d));
        if (__builtin_expect(__builtin_isinf(by), 0)) {
            memset(to + 2, 0, BLOCK);
            continue;
        }
        /* Halves go away from zero: add the float below 0.5 and cut, or 0.49999997 itself would go up. */
        EACH_VECTOR(v) {
            floats scaled = a[v] * all_of(by);
            l[v] = truncated(scaled + with_sign(all_of(0.49999997f), scaled));
        }
        pack(to + 2, l);
    }
}

/* Signed quants around `half`; the largest weight becomes the lowest quant. */
INLINE void around(const float *x, int64_t count, uint8_t *to, const float half) {
    const int five = half == 16, bytes = five ? 22 : 18;
    for (; count > 0; count -= BLOCK, x += BLOCK, to += bytes) {
        floats a[VECTORS];
        ints l[VECTORS];
        uint8_t quants[BLOCK] ALIGNED;
        load_block(x, a);
        const float largest = largest_magnitude(a);
        const float d = (largest > 0 ? first_of_magnitude(x, a, largest) : 0) / -half, by = inverse(d);
        put16(to, to_half(d));
        if (__builtin_expect(__builtin_isinf(by), 0)) {
            memset(to + 2, 0, (size_t)bytes - 2);
            continue;
        }
        EACH_VECTOR(v) {
            floats shifted = a[v] * all_of(by) + all_of(half + 0.5f);
            l[v] = least_int(truncated(shifted), all_of_int(five ? 31 : 15));
        }
        pack(quants, l);
        if (five)
            put_fifth_bits(to + 2, quants);
        put_nibbles(to + bytes - BLOCK / 2, quants);
    }
}

/* Quants from the smallest weight, which is stored, up to `top`. */
INLINE void above(const float *x, int64_t count, uint8_t *to, const int top) {
    const int five = top == 31, bytes = five ? 24 : 20;
    for (; count > 0; count -= BLOCK, x += BLOCK, to += bytes) {
        floats a[VECTORS];
        ints l[VECTORS];
        uint8_t quants[BLOCK] ALIGNED;
        load_block(x, a);
        const float low = first_equal(x, a, smallest_of(a)), high = largest_of(a);
        /* Of zeros of both signs the reference takes the same one for both: their difference is +0. */
        const float d = (high == low ? 0 : high - low) / (float)top, by = inverse(d);
        put16(to, to_half(d));
        put16(to + 2, to_half(low));
        if (__builtin_expect(__builtin_isinf(by), 0)) {
            memset(to + 4, 0, (size_t)bytes - 4);
            continue;
        }
        EACH_VECTOR(v) {
            floats shifted = (a[v] - all_of(low)) * all_of(by) + all_of(0.5f);
            ints quant = truncated(shifted);
            l[v] = five ? and_int(quant, all_of_int(255)) : least_int(quant, all_of_int(15));
            l[v] = most_int(l[v], all_of_int(0));
        }
        pack(quants, l);
        if (five)
            put_fifth_bits(to + 4, quants);
        put_nibbles(to + bytes - BLOCK / 2, quants);
    }
}

static void q4_0(const float *x, int64_t count, uint8_t *to, groups *s) { (void)s, around(x, count, to, 8); }
static void q5_0(const float *x, int64_t count, uint8_t *to, groups *s) { (void)s, around(x, count, to, 16); }
static void q4_1(const float *x, int64_t count, uint8_t *to, groups *s) { (void)s, above(x, count, to, 15); }
static void q5_1(const float *x, int64_t count, uint8_t *to, groups *s) { (void)s, above(x, count, to, 31); }

const kernel NAMED(q4_0) = {2, BLOCK, 18, {0, -1}, 1, q4_0, NAMED(simple_weighted_q4_0)};
const kernel NAMED(q4_1) = {3, BLOCK, 20, {0, 2}, 1, q4_1, NAMED(simple_weighted_q4_1)};
const kernel NAMED(q5_0) = {6, BLOCK, 22, {0, -1}, 1, q5_0, NAMED(simple_weighted_q5_0)};
const kernel NAMED(q5_1) = {7, BLOCK, 24, {0, 2}, 1, q5_1, NAMED(simple_weighted_q5_1)};
const kernel NAMED(q8_0) = {8, BLOCK, 34, {0, -1}, 0, q8_0, 0};
