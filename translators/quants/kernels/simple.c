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

/* As many blocks as have their scales computed side by side, before their quants. */
enum { MANY = 64 };

/* Scales from the extremes of MANY blocks, and what to multiply their weights with. */
INLINE void scales_of(float *d, float *by, float divisor) {
    for (int b = 0; b < MANY; b += LANES) {
        const floats scale = load(d + b) / all_of(divisor);
        store(d + b, scale);
        store(by + b, choose(equal(scale, all_of(0)), all_of(0), all_of(1) / scale));
    }
}

INLINE int64_t least_count(int64_t left) { return left < MANY * BLOCK ? left / BLOCK : MANY; }

static void q8_0(const float *x, int64_t count, uint8_t *to, groups *s) {
    (void)s;
    float d[MANY] ALIGNED = {0}, by[MANY] ALIGNED;
    floats a[VECTORS];
    ints l[VECTORS];
    for (; count > 0; count -= MANY * BLOCK, x += MANY * BLOCK) {
        const int64_t blocks = least_count(count);
        for (int64_t b = 0; b < blocks; b++) {
            load_block(x + b * BLOCK, a);
            d[b] = largest_magnitude(a);
        }
        scales_of(d, by, 127);
        for (int64_t b = 0; b < blocks; b++, to += 34) {
            put16(to, to_half(d[b]));
            if (__builtin_expect(__builtin_isinf(by[b]), 0)) {
                memset(to + 2, 0, BLOCK);
                continue;
            }
            load_block(x + b * BLOCK, a);
            /* Halves go away from zero: add the float below 0.5 and cut, or 0.49999997 itself would go up. */
            EACH_VECTOR(v) {
                floats scaled = a[v] * all_of(by[b]);
                l[v] = truncated(scaled + with_sign(all_of(0.49999997f), scaled));
            }
            pack(to + 2, l);
        }
    }
}

/* The fifth bits, if any, and the nibbles of a block, whose halves take `head` bytes. */
INLINE void put_quants(uint8_t *to, int head, int five, const uint8_t *quants) {
    if (five)
        put_fifth_bits(to + head, quants);
    put_nibbles(to + head + (five ? 4 : 0), quants);
}

/* Signed quants around `half`; the weight of largest magnitude becomes the lowest quant. */
INLINE void around(const float *x, int64_t count, uint8_t *to, const float half) {
    const int five = half == 16, bytes = five ? 22 : 18;
    float d[MANY] ALIGNED = {0}, by[MANY] ALIGNED;
    uint8_t quants[BLOCK] ALIGNED;
    floats a[VECTORS];
    ints l[VECTORS];
    for (; count > 0; count -= MANY * BLOCK, x += MANY * BLOCK) {
        const int64_t blocks = least_count(count);
        for (int64_t b = 0; b < blocks; b++) {
            load_block(x + b * BLOCK, a);
            d[b] = extreme_of(x + b * BLOCK, a);
        }
        scales_of(d, by, -half);
        for (int64_t b = 0; b < blocks; b++, to += bytes) {
            put16(to, to_half(d[b]));
            if (__builtin_expect(__builtin_isinf(by[b]), 0)) {
                memset(to + 2, 0, (size_t)bytes - 2);
                continue;
            }
            load_block(x + b * BLOCK, a);
            EACH_VECTOR(v) {
                ints quant = truncated(a[v] * all_of(by[b]) + all_of(half + 0.5f));
                l[v] = least_int(quant, all_of_int(five ? 31 : 15));
            }
            pack(quants, l);
            put_quants(to, 2, five, quants);
        }
    }
}

/* Quants from the smallest weight, which is stored, up to `top`. */
INLINE void above(const float *x, int64_t count, uint8_t *to, const int top) {
    const int five = top == 31, bytes = five ? 24 : 20;
    float low[MANY] ALIGNED, d[MANY] ALIGNED = {0}, by[MANY] ALIGNED;
    uint8_t quants[BLOCK] ALIGNED;
    floats a[VECTORS];
    ints l[VECTORS];
    for (; count > 0; count -= MANY * BLOCK, x += MANY * BLOCK) {
        const int64_t blocks = least_count(count);
        for (int64_t b = 0; b < blocks; b++) {
            load_block(x + b * BLOCK, a);
            const float high = largest_of(a);
            low[b] = least_of(x + b * BLOCK, a);
            /* Of zeros of both signs the reference takes the same one for both: their difference is +0. */
            d[b] = high == low[b] ? 0 : high - low[b];
        }
        scales_of(d, by, (float)top);
        for (int64_t b = 0; b < blocks; b++, to += bytes) {
            put16(to, to_half(d[b]));
            put16(to + 2, to_half(low[b]));
            if (__builtin_expect(__builtin_isinf(by[b]) || __builtin_isinf(d[b]), 0)) {
                memset(to + 4, 0, (size_t)bytes - 4);
                continue;
            }
            load_block(x + b * BLOCK, a);
            EACH_VECTOR(v) {
                ints quant = truncated((a[v] - all_of(low[b])) * all_of(by[b]) + all_of(0.5f));
                l[v] = least_int(quant, all_of_int(top));
            }
            pack(quants, l);
            put_quants(to, 4, five, quants);
        }
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
