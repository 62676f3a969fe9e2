/* Q3_K: super-blocks of sixteen groups of 16, each with a signed scale of six bits, no minima.
 *
 * Block: 32 bytes of the quants' third bits, 64 of their low two, 12 of scales, the half scale of scales. Quants
 * are stored with 4 added, scales with 32.
 * Without column weights a group's quants move one after the other, each to where the rest would have it, for as
 * long as that makes the fit better.
 */
#include "kernel.h"
#include "scales.h"
#include "search_scale.h"

enum { GROUP = 16, PER_SUPER = SUPER / GROUP, BATCH = WIDTH * GROUP, SUPERS = BATCH / SUPER, BYTES = 110, HALF = 4 };
enum { ROUNDS = 5, TOP_SCALE = 32 };

static const scale_search SEARCH = {.n = GROUP, .most_quant = HALF};

/* The sums that say how good a fit is, of the groups of one vector of lanes. */
typedef struct {
    floats xl, l2;
} fit;

/* The weight of largest magnitude gets the lowest quant. Keeps the quants, and w * x in place of w. Tells the
 * groups whose weights are too small to count. */
INLINE void first_quants(groups *s, int at, fit *f, mask *nothing) {
    floats largest[WAYS], extreme[WAYS], factor[WAYS];
    EACH_WAY(k) largest[k] = extreme[k] = f[k].xl = f[k].l2 = all_of(0);
    for (int i = 0; i < GROUP; i++)
        EACH_WAY(k) {
            const floats x = load(&s->of[i].x[at + k * LANES]);
            const mask larger = less(largest[k], magnitude(x));
            largest[k] = choose(larger, magnitude(x), largest[k]);
            extreme[k] = choose(larger, x, extreme[k]);
        }
    EACH_WAY(k) {
        nothing[k] = less(largest[k], all_of(TINY));
        factor[k] = all_of(-HALF) / extreme[k];
    }
    for (int i = 0; i < GROUP; i++)
        EACH_WAY(k) {
            const floats x = load(&s->of[i].x[at + k * LANES]), w = x * x, wx = w * x;
            const floats l = scale_quants(SEARCH, factor[k] * x);
            store(&s->of[i].w[at + k * LANES], wx);
            store(&s->of[i].kept[at + k * LANES], l);
            f[k].xl = f[k].xl + wx * l;
            f[k].l2 = f[k].l2 + w * l * l;
        }
}

/* A round: each quant moves where that makes the fit better; whether any did. Few do (one of fifty in a first
 * round), so it pays to guess that none does: the next quant's divisions then need not wait for this one's. */
INLINE int moved_quants(groups *s, int at, fit *f) {
    const floats zero = all_of(0);
    int moves = 0;
    for (int i = 0; i < GROUP; i++) {
        const floats x = load(&s->of[i].x[at]), wx = load(&s->of[i].w[at]), l = load(&s->of[i].kept[at]), w = x * x;
        const floats others_xl = f->xl - wx * l, others_l2 = f->l2 - w * l * l;
        const floats to = nearest_within(x * others_l2 / others_xl, -HALF, HALF - 1);
        const mask wanted = both(less(zero, others_xl), unequal(to, l));
        if (__builtin_expect(!any(wanted), 1))
            continue;
        const floats with_xl = others_xl + wx * to, with_l2 = others_l2 + w * to * to;
        const mask better = less(f->xl * f->xl * with_l2, with_xl * with_xl * f->l2);
        const mask moved = both(both(wanted, less(zero, with_l2)), better);
        store(&s->of[i].kept[at], choose(moved, to, l));
        f->xl = choose(moved, with_xl, f->xl);
        f->l2 = choose(moved, with_l2, f->l2);
        moves |= any(moved);
    }
    return moves;
}

/* Scales, and quants as they are stored. Lanes `at` to `at` + STEP. */
INLINE void search_by_moves(groups *s, int at) {
    const floats zero = all_of(0);
    fit f[WAYS];
    mask nothing[WAYS];
    first_quants(s, at, f, nothing);
    EACH_WAY(k) for (int round = 0; round < ROUNDS && moved_quants(s, at + k * LANES, &f[k]); round++)
        ;
    EACH_WAY(k) {
        const floats scale = choose(less(zero, f[k].l2), f[k].xl / f[k].l2, zero);
        store(&s->scale[at + k * LANES], choose(nothing[k], zero, scale));
        for (int i = 0; i < GROUP; i++) {
            const floats l = load(&s->of[i].kept[at + k * LANES]) + all_of(HALF);
            store(&s->of[i].kept[at + k * LANES], choose(nothing[k], zero, l));
        }
    }
}

/* Quants of scales by the largest of them; returns what they count. A byte holds them before they are limited. */
INLINE float by_largest(const float *scale, int32_t *quants) {
    float largest = 0, extreme = 0;
    for (int j = 0; j < PER_SUPER; j++) {
        const float size = __builtin_fabsf(scale[j]);
        if (size > largest) {
            largest = size;
            extreme = scale[j];
        }
    }
    memset(quants, 0, PER_SUPER * sizeof *quants);
    if (extreme == 0)
        return 0;
    const float factor = -(float)TOP_SCALE / extreme;
    for (int j = 0; j < PER_SUPER; j++) {
        const int32_t l = (int8_t)(uint8_t)nearest(factor * scale[j]);
        quants[j] = (l < -TOP_SCALE ? -TOP_SCALE : l < TOP_SCALE - 1 ? l : TOP_SCALE - 1) + TOP_SCALE;
    }
    return 1 / factor;
}

/* Scales are stored in six bits: the low four first, then the high two. `seen`: as a reader will have them. */
INLINE void write_scales(float d, const int32_t *quants, uint8_t *to, float *seen) {
    const uint16_t half = to_half(d);
    memset(to + 96, 0, 12);
    for (int j = 0; j < PER_SUPER; j++) {
        to[96 + j % 8] |= (uint8_t)((quants[j] & 15) << j / 8 * 4);
        to[104 + j % 4] |= (uint8_t)(quants[j] >> 4 << j / 4 * 2);
        seen[j] = from_half(half) * (float)(quants[j] - TOP_SCALE);
    }
    put16(to + 108, half);
}

/* The quants by the scales that a reader sees; where such a scale is zero, those of the search stay. */
INLINE void keep_quants(groups *s, const float *scale) {
    for (int at = 0; at < WIDTH; at += LANES) {
        const floats d = load(scale + at);
        const mask none = equal(d, all_of(0));
        for (int i = 0; i < GROUP; i++) {
            const floats l = nearest_within(load(&s->of[i].x[at]) / d, -HALF, HALF - 1) + all_of(HALF);
            store(&s->of[i].kept[at], choose(none, load(&s->of[i].kept[at]), l));
        }
    }
}

INLINE void write_quants(const groups *s, int b, uint8_t *to) {
    uint8_t l[SUPER] ALIGNED;
    gather(s, GROUP, b * PER_SUPER, l);
    gather(s, GROUP, b * PER_SUPER + 8, l + SUPER / 2);
    for (int i = 0; i < 32; i += 16) {
        bytes third = {0};
        for (int k = 0; k < 8; k++)
            third |= (load_bytes(l + 32 * k + i) >> 2 & 1) << k;
        store_bytes(to + i, third);
        for (int half = 0; half < 2; half++) {
            bytes low = {0};
            for (int k = 0; k < 4; k++)
                low |= (load_bytes(l + 128 * half + 32 * k + i) & 3) << 2 * k;
            store_bytes(to + 32 + 32 * half + i, low);
        }
    }
}

/* Blocks, whose quants were kept by the search. `total`: sums of w, or null. */
INLINE void write_batch(groups *s, const float *total, uint8_t *to) {
    float seen[WIDTH] ALIGNED;
    int32_t quants[PER_SUPER];
    for (int b = 0; b < SUPERS; b++) {
        const float *scale = s->scale + b * PER_SUPER;
        const float d = total ? fit_signed(PER_SUPER, TOP_SCALE, scale, total + b * PER_SUPER, quants)
                              : by_largest(scale, quants);
        write_scales(d, quants, to + b * BYTES, seen + b * PER_SUPER);
    }
    keep_quants(s, seen);
    for (int b = 0; b < SUPERS; b++)
        write_quants(s, b, to + b * BYTES);
}

static void unweighted(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)columns, (void)mean;
    spread(x, GROUP, s->of[0].x);
    for (int at = 0; at < WIDTH; at += STEP)
        search_by_moves(s, at);
    write_batch(s, 0, to);
}

static void by_columns(const float *x, const float *columns, float mean, uint8_t *to, groups *s) {
    (void)mean;
    spread(x, GROUP, s->of[0].x);
    weigh_by_columns(x, columns, GROUP, 2, s);
    search_scales(s, SEARCH);
    for (int at = 0; at < WIDTH; at += LANES) {
        floats total = all_of(0);
        for (int i = 0; i < GROUP; i++) {
            total = total + load(&s->of[i].w[at]);
            store(&s->of[i].kept[at], won_steps(s, at, SEARCH, load(&s->of[i].x[at])));
        }
        store(&s->total[at], total);
    }
    write_batch(s, s->total, to);
}

static void q3_k(const float *x, int64_t count, uint8_t *to, groups *s) {
    in_batches(unweighted, BATCH, SUPER, BYTES, x, 0, 0, count, to, s);
}
static void q3_k_weighted(const float *x, const float *columns, float mean, int64_t count, uint8_t *to, groups *s) {
    in_batches(by_columns, BATCH, SUPER, BYTES, x, columns, mean, count, to, s);
}

const kernel NAMED(q3_k) = {11, SUPER, BYTES, {108, -1}, 0, q3_k, q3_k_weighted};
