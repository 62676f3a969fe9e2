/* Q2_K: super-blocks of sixteen groups of 16, each with a scale and a minimum of four bits.
 *
 * Block: 16 bytes of scales (low bits) and minima, 64 bytes of quants, half scale of scales, half of minima.
 */
#include "kernel.h"
#include "scales.h"
#include "search_minimum.h"

enum { GROUP = 16, PER_SUPER = SUPER / GROUP, BATCH = WIDTH * GROUP, SUPERS = BATCH / SUPER, BYTES = 84 };

static const range_search BY_MAGNITUDE = {
    .n = GROUP, .most_quant = 3, .first = -0.5f, .step = 0.1f, .steps = 15, .absolute = 1};
static const range_search BY_COLUMNS = {
    .n = GROUP, .most_quant = 3, .first = -0.9f, .step = 0.05f, .steps = 36, .weighted = 1};

/* Four bits for each number, by the largest: returns what they count. */
INLINE float by_largest(const float *x, uint8_t *quants) {
    float top = 0;
    for (int j = 0; j < PER_SUPER; j++)
        top = x[j] > top ? x[j] : top;
    const float factor = 15.0f / top;
    for (int j = 0; j < PER_SUPER; j++)
        quants[j] = top > 0 ? (uint8_t)nearest(factor * x[j]) : 0;
    return top > 0 ? top / 15.0f : 0;
}

/* Writes scales and minima, and each group's as a reader will see them. */
INLINE void write_scales(groups *s, int b, int weighted, uint8_t *to, float *seen_scale, float *seen_minimum) {
    const float *scale = s->scale + b * PER_SUPER, *total = s->total + b * PER_SUPER;
    float minimum[PER_SUPER];
    uint8_t qs[PER_SUPER], qm[PER_SUPER];
    for (int j = 0; j < PER_SUPER; j++)
        minimum[j] = -s->low[b * PER_SUPER + j];
    const float d = weighted ? fit_positive(PER_SUPER, 15, scale, total, qs) : by_largest(scale, qs);
    const float d_min = weighted ? fit_positive(PER_SUPER, 15, minimum, total, qm) : by_largest(minimum, qm);
    const uint16_t half = to_half(d), half_min = to_half(d_min);
    put16(to + 80, half);
    put16(to + 82, half_min);
    for (int j = 0; j < PER_SUPER; j++) {
        to[j] = (uint8_t)(qs[j] | qm[j] << 4);
        seen_scale[j] = from_half(half) * (float)(to[j] & 15);
        seen_minimum[j] = from_half(half_min) * (float)(to[j] >> 4);
    }
}

INLINE void write_quants(const groups *s, int b, uint8_t *to) {
    uint8_t l[SUPER] ALIGNED;
    gather(s, GROUP, b * PER_SUPER, l);
    gather(s, GROUP, b * PER_SUPER + 8, l + SUPER / 2);
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i += 16) {
            const uint8_t *q = l + 128 * half + i;
            store_bytes(to + 16 + 32 * half + i, load_bytes(q) | load_bytes(q + 32) << 2 |
                                                     load_bytes(q + 64) << 4 | load_bytes(q + 96) << 6);
        }
}

INLINE void make_batch(const float *x, const float *columns, uint8_t *to, groups *s) {
    float scale[WIDTH] ALIGNED, minimum[WIDTH] ALIGNED;
    spread(x, GROUP, s->of[0].x);
    if (columns) {
        weigh_by_columns(x, columns, GROUP, 1, s);
        search_ranges(s, BY_COLUMNS);
    } else {
        for (int i = 0; i < GROUP; i++)
            for (int at = 0; at < WIDTH; at += LANES)
                store(&s->of[i].w[at], magnitude(load(&s->of[i].x[at])));
        search_ranges(s, BY_MAGNITUDE);
    }
    for (int b = 0; b < SUPERS; b++)
        write_scales(s, b, columns != 0, to + b * BYTES, scale + b * PER_SUPER, minimum + b * PER_SUPER);
    keep_range_quants(s, columns ? BY_COLUMNS : BY_MAGNITUDE, scale, minimum);
    for (int b = 0; b < SUPERS; b++)
        write_quants(s, b, to + b * BYTES);
}

static void unweighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)columns, (void)mean;
    make_batch(x, 0, to, s);
}
static void by_columns(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    make_batch(x, columns, to, s);
}

static void q2_k(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(unweighted, BATCH, SUPER, BYTES, x, 0, 0, count, to, s);
}
static void q2_k_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(by_columns, BATCH, SUPER, BYTES, x, columns, mean, count, to, s);
}

const kernel NAMED(q2_k) = {10, SUPER, BYTES, {80, 82}, 0, q2_k, q2_k_weighted};
