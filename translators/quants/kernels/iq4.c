/* IQ4_NL and IQ4_XS: quants of four bits that name sixteen uneven values; a scale for each group of 32.
 *
 * IQ4_NL is a block of one group: half scale, 16 bytes of quants. IQ4_XS is a super-block of eight: half scale
 * of scales, 2 bytes of their high bits, 4 of their low ones, 128 of quants.
 */
#include "blocks.h"
#include "kernel.h"
#include "lookup.h"
#include "scales.h"

enum { GROUPS = SUPER / BLOCK, BATCH = WIDTH * BLOCK, SUPERS = BATCH / SUPER, XS_BYTES = 136, NL_BYTES = 18 };

/* The scale of least weighted error: of a first one and fifteen around it. Lanes `at` to `at` + STEP. */
INLINE void search_values(groups *s, int at, const table *t) {
    const floats zero = all_of(0);
    floats largest[WAYS], extreme[WAYS], factor[WAYS], scale[WAYS], best[WAYS], sum_qx[WAYS], sum_q2[WAYS];
    EACH_WAY(k) largest[k] = extreme[k] = scale[k] = best[k] = zero;
    for (int i = 0; i < BLOCK; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]);
            mask larger = less(largest[k], magnitude(x));
            largest[k] = choose(larger, magnitude(x), largest[k]);
            extreme[k] = choose(larger, x, extreme[k]);
        }
    for (int turn = -8; turn <= 7; turn++) { /* the first, then those around it */
        EACH_WAY(k) {
            factor[k] = all_of((float)turn + VALUES[0]) / extreme[k];
            if (turn == -8)
                factor[k] = all_of(1) / ((zero - extreme[k]) / all_of(VALUES[0]));
            sum_qx[k] = sum_q2[k] = zero;
        }
        for (int i = 0; i < BLOCK; i++)
            EACH_WAY(k) {
                floats x = load(&s->of[i].x[at + k * LANES]), number;
                floats q = nearest_value(t, factor[k] * x, &number), wq = load(&s->of[i].w[at + k * LANES]) * q;
                sum_qx[k] = sum_qx[k] + wq * x;
                sum_q2[k] = sum_q2[k] + wq * q;
            }
        EACH_WAY(k) {
            const mask solved = less(zero, sum_q2[k]);
            const floats fit = sum_qx[k] / sum_q2[k];
            if (turn == -8) {
                scale[k] = choose(solved, fit, zero);
                best[k] = scale[k] * sum_qx[k];
                continue;
            }
            mask better = both(solved, less(best[k] * sum_q2[k], sum_qx[k] * sum_qx[k]));
            scale[k] = choose(better, fit, scale[k]);
            best[k] = choose(better, fit * sum_qx[k], best[k]);
        }
    }
    EACH_WAY(k) store(&s->scale[at + k * LANES], choose(less(largest[k], all_of(TINY)), zero, scale[k]));
}

/* With column weights: for super-blocks by their mean square, otherwise by the block's own. */
INLINE void weigh(const float *x, const float *columns, groups *s, const int super) {
    if (columns && super) {
        float sums[SUPERS], mean[WIDTH] ALIGNED;
        sums_of_squares(x, SUPERS, sums);
        for (int g = 0; g < WIDTH; g++)
            mean[g] = sums[g / GROUPS] * (2.0f / SUPER);
        memcpy(s->total, mean, sizeof mean);
    }
    if (columns)
        spread(columns, BLOCK, s->of[0].w);
    for (int at = 0; at < WIDTH; at += LANES) {
        floats mean = all_of(0);
        for (int i = 0; i < BLOCK; i++) {
            floats value = load(&s->of[i].x[at]);
            mean = mean + value * value;
            if (!columns)
                store(&s->of[i].w[at], value * value);
        }
        mean = mean * all_of(2.0f / BLOCK);
        if (super)
            mean = load(&s->total[at]);
        for (int i = 0; columns && i < BLOCK; i++) {
            floats value = load(&s->of[i].x[at]);
            store(&s->of[i].w[at], load(&s->of[i].w[at]) * root(mean + value * value));
        }
    }
}

/* The head of an IQ4_XS super-block; `by`: what its groups' weights are multiplied with. */
INLINE void write_head(const float *scale, uint8_t *to, float *by) {
    float largest = 0, extreme = 0;
    uint8_t low[GROUPS];
    uint16_t high = 0;
    for (int j = 0; j < GROUPS; j++) {
        const float size = __builtin_fabsf(scale[j]);
        if (size > largest) {
            largest = size;
            extreme = scale[j];
        }
    }
    const float d = -extreme / 32, factor = d != 0 ? 1 / d : 0;
    for (int j = 0; j < GROUPS; j++) {
        int32_t l = nearest(factor * scale[j]);
        l = l < 31 ? l : 31;
        l = l > -32 ? l : -32;
        const float seen = d * (float)l;
        by[j] = seen != 0 ? 1 / seen : 0;
        low[j] = (uint8_t)((l + 32) & 15);
        high |= (uint16_t)((l + 32) >> 4 << (2 * j));
    }
    put16(to, to_half(d));
    put16(to + 2, high);
    for (int j = 0; j < GROUPS; j += 2)
        to[4 + j / 2] = (uint8_t)(low[j] | low[j + 1] << 4);
}

INLINE void make_batch(const float *x, const float *columns, uint8_t *to, groups *s, const int super) {
    const table t = make_table();
    float by[WIDTH] ALIGNED;
    spread(x, BLOCK, s->of[0].x);
    weigh(x, columns, s, super);
    for (int at = 0; at < WIDTH; at += STEP)
        search_values(s, at, &t);
    for (int b = 0; super && b < SUPERS; b++)
        write_head(s->scale + b * GROUPS, to + b * XS_BYTES, by + b * GROUPS);
    for (int g = 0; !super && g < WIDTH; g++) {
        put16(to + g * NL_BYTES, to_half(s->scale[g]));
        by[g] = s->scale[g] != 0 ? 1 / s->scale[g] : 0;
    }
    for (int at = 0; at < WIDTH; at += LANES)
        for (int i = 0; i < BLOCK; i++) {
            floats number;
            nearest_value(&t, load(by + at) * load(&s->of[i].x[at]), &number);
            store(&s->of[i].kept[at], number);
        }
    for (int g = 0; g < WIDTH; g += 8) {
        uint8_t l[8][BLOCK] ALIGNED;
        gather(s, BLOCK, g, l[0]);
        for (int j = 0; j < 8; j++)
            put_nibbles(super ? to + g / 8 * XS_BYTES + 8 + 16 * j : to + (g + j) * NL_BYTES + 2, l[j]);
    }
}

static void nl(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)columns, (void)mean;
    make_batch(x, 0, to, s, 0);
}
static void xs(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)columns, (void)mean;
    make_batch(x, 0, to, s, 1);
}
static void nl_weighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    make_batch(x, columns, to, s, 0);
}
static void xs_weighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    make_batch(x, columns, to, s, 1);
}

static void iq4_nl(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(nl, BATCH, BLOCK, NL_BYTES, x, 0, 0, count, to, s);
}
static void iq4_xs(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(xs, BATCH, SUPER, XS_BYTES, x, 0, 0, count, to, s);
}
static void iq4_nl_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(nl_weighted, BATCH, BLOCK, NL_BYTES, x, columns, mean, count, to, s);
}
static void iq4_xs_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(xs_weighted, BATCH, SUPER, XS_BYTES, x, columns, mean, count, to, s);
}

const kernel NAMED(iq4_nl) = {20, BLOCK, NL_BYTES, {0, -1}, 0, iq4_nl, iq4_nl_weighted};
const kernel NAMED(iq4_xs) = {23, SUPER, XS_BYTES, {0, -1}, 0, iq4_xs, iq4_xs_weighted};
