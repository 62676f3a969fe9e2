/* Q4_K and Q5_K: super-blocks of eight groups of 32, each with a scale and a minimum of six bits.
 *
 * Block: half scale of scales, half scale of minima, 12 bytes of both, for Q5_K 32 bytes of high bits (bit j:
 * group j), then 128 bytes of low quants, two groups in each 32.
 */
#include "kernel.h"
#include "scales.h"
#include "search_minimum.h"

enum { GROUP = 32, PER_SUPER = SUPER / GROUP, BATCH = WIDTH * GROUP, SUPERS = BATCH / SUPER };

/* Without column weights, a weight counts by its magnitude and that of its group. */
INLINE void weigh_by_magnitude(groups *s) {
    for (int at = 0; at < WIDTH; at += LANES) {
        floats sum = all_of(0);
        for (int i = 0; i < GROUP; i++) {
            floats x = load(&s->of[i].x[at]);
            sum = sum + x * x;
        }
        const floats typical = root(sum / all_of(GROUP));
        for (int i = 0; i < GROUP; i++)
            store(&s->of[i].w[at], typical + magnitude(load(&s->of[i].x[at])));
    }
}

/* Six bits for each scale and each minimum, by the largest of each. */
INLINE void by_largest(const float *scale, const float *minimum, float *d, float *d_min, uint8_t *qs, uint8_t *qm) {
    float top_scale = 0, top_minimum = 0;
    for (int j = 0; j < PER_SUPER; j++) {
        top_scale = scale[j] > top_scale ? scale[j] : top_scale;
        top_minimum = minimum[j] > top_minimum ? minimum[j] : top_minimum;
    }
    const float by_scale = top_scale > 0 ? 63.0f / top_scale : 0, by_min = top_minimum > 0 ? 63.0f / top_minimum : 0;
    for (int j = 0; j < PER_SUPER; j++) {
        qs[j] = (uint8_t)nearest(by_scale * scale[j]);
        qm[j] = (uint8_t)nearest(by_min * minimum[j]);
        qs[j] = qs[j] < 63 ? qs[j] : 63;
        qm[j] = qm[j] < 63 ? qm[j] : 63;
    }
    *d = top_scale / 63.0f;
    *d_min = top_minimum / 63.0f;
}

/* Writes the head of super-block `b`, and each of its groups' scale and minimum as a reader will see them. */
INLINE void write_head(groups *s, int b, int weighted, uint8_t *to, float *seen_scale, float *seen_minimum) {
    const float *scale = s->scale + b * PER_SUPER;
    float minimum[PER_SUPER], d, d_min;
    uint8_t qs[PER_SUPER], qm[PER_SUPER];
    for (int j = 0; j < PER_SUPER; j++)
        minimum[j] = -s->low[b * PER_SUPER + j];
    if (weighted) {
        d = fit_positive(PER_SUPER, 63, scale, s->total + b * PER_SUPER, qs);
        d_min = fit_positive(PER_SUPER, 63, minimum, s->total + b * PER_SUPER, qm);
    } else {
        by_largest(scale, minimum, &d, &d_min, qs, qm);
    }
    const uint16_t half = to_half(d), half_min = to_half(d_min);
    put16(to, half);
    put16(to + 2, half_min);
    uint8_t *packed = to + 4;
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(qs[j] | qs[j + 4] >> 4 << 6);
        packed[j + 4] = (uint8_t)(qm[j] | qm[j + 4] >> 4 << 6);
        packed[j + 8] = (uint8_t)((qs[j + 4] & 15) | (qm[j + 4] & 15) << 4);
    }
    for (int j = 0; j < PER_SUPER; j++) {
        seen_scale[j] = from_half(half) * (float)qs[j];
        seen_minimum[j] = from_half(half_min) * (float)qm[j];
    }
}

INLINE void write_quants(const groups *s, int b, int five, uint8_t *to) {
    uint8_t l[PER_SUPER][GROUP] ALIGNED;
    gather(s, GROUP, b * PER_SUPER, l[0]);
    uint8_t *low = to + (five ? 48 : 16);
    for (int j = 0; j < PER_SUPER; j += 2)
        for (int i = 0; i < GROUP; i += 16)
            store_bytes(low + GROUP / 2 * j + i, (load_bytes(l[j] + i) & 15) | load_bytes(l[j + 1] + i) << 4);
    for (int i = 0; five && i < GROUP; i += 16) {
        bytes high = load_bytes(l[0] + i) >> 4;
        for (int j = 1; j < PER_SUPER; j++)
            high |= load_bytes(l[j] + i) >> 4 << j;
        store_bytes(to + 16 + i, high);
    }
}

INLINE void make_batch(const float *x, const float *columns, uint8_t *to, groups *s, const int five) {
    const range_search by_magnitude =
        five ? (range_search){.n = GROUP, .most_quant = 31, .first = -0.5f, .step = 0.1f, .steps = 15}
             : (range_search){.n = GROUP, .most_quant = 15, .first = -1.0f, .step = 0.1f, .steps = 20};
    const range_search by_columns = {
        .n = GROUP, .most_quant = five ? 31 : 15, .first = -0.9f, .step = 0.05f, .steps = 36, .weighted = 1};
    const int bytes = five ? 176 : 144;
    float scale[WIDTH] ALIGNED, minimum[WIDTH] ALIGNED;
    spread(x, GROUP, s->of[0].x);
    if (columns) {
        weigh_by_columns(x, columns, GROUP, 2, s);
        search_ranges(s, by_columns);
    } else {
        weigh_by_magnitude(s);
        search_ranges(s, by_magnitude);
    }
    for (int b = 0; b < SUPERS; b++)
        write_head(s, b, columns != 0, to + b * bytes, scale + b * PER_SUPER, minimum + b * PER_SUPER);
    keep_range_quants(s, columns ? by_columns : by_magnitude, scale, minimum);
    for (int b = 0; b < SUPERS; b++)
        write_quants(s, b, five, to + b * bytes);
}

static void four(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)columns, (void)mean;
    make_batch(x, 0, to, s, 0);
}
static void five(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)columns, (void)mean;
    make_batch(x, 0, to, s, 1);
}
static void four_weighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    make_batch(x, columns, to, s, 0);
}
static void five_weighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    make_batch(x, columns, to, s, 1);
}

static void q4_k(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(four, BATCH, SUPER, 144, x, 0, 0, count, to, s);
}
static void q5_k(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(five, BATCH, SUPER, 176, x, 0, 0, count, to, s);
}
static void q4_k_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(four_weighted, BATCH, SUPER, 144, x, columns, mean, count, to, s);
}
static void q5_k_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(five_weighted, BATCH, SUPER, 176, x, columns, mean, count, to, s);
}

const kernel NAMED(q4_k) = {12, SUPER, 144, {0, 2}, 0, q4_k, q4_k_weighted};
const kernel NAMED(q5_k) = {13, SUPER, 176, {0, 2}, 0, q5_k, q5_k_weighted};
