/* The search for a scale and a minimum: x is nearly scale * quant + low, with quants from 0 to `most_quant`.
 *
 * Starts from the group's range, then tries `steps` + 1 factors around it; each gives quants, and these give
 * the scale and minimum of least weighted error in closed form. The best one stays, and what is tried next
 * starts from its minimum. Only the winner's factor and minimum are kept: its quants can be had from these.
 * `weighted` is upstream's later variant, which clamps before it rounds (except for the first fit).
 * `absolute` counts errors by magnitude, otherwise by square.
 *
 * Rounding in few operations is right only within SAFE. As x - low is monotonic, the group's extremes tell
 * whether all of it is; where a lane's are not, the search stops, and is done again with `exact` rounding.
 */
#ifndef PRISMFS_SEARCH_MINIMUM_H
#define PRISMFS_SEARCH_MINIMUM_H

#include "groups.h"

typedef struct {
    int n, most_quant;
    float first, step;
    int steps, weighted, absolute;
} range_search;

/* Quants of one weight in every lane, for a fit that is not the first. */
INLINE floats range_quants(const range_search p, floats scaled, int exact) {
    if (p.weighted) {
        floats clamped = least(most(scaled, all_of(0)), all_of((float)p.most_quant));
        return (clamped + all_of(MAGIC)) - all_of(MAGIC);
    }
    if (exact)
        return nearest_within(scaled, 0, p.most_quant);
    return near_within(scaled, all_of(MAGIC), all_of(MAGIC + (float)p.most_quant));
}

INLINE floats range_error(const range_search p, floats difference) {
    if (p.absolute)
        return magnitude(difference);
    return difference * difference;
}

/* Lanes `at` to `at` + STEP; 0 if some lane left the safe range and `exact` was not asked for. */
INLINE int search_range(groups *s, int at, const range_search p, const int exact) {
    const floats zero = all_of(0), top = all_of((float)p.most_quant);
    floats low[WAYS], high[WAYS], lowest[WAYS], sum_w[WAYS], sum_x[WAYS], best[WAYS], scale[WAYS], factor[WAYS];
    floats won_factor[WAYS], won_base[WAYS], early[WAYS];
    mask flat[WAYS];

    EACH_WAY(k) {
        floats x = load(&s->of[0].x[at + k * LANES]), w = load(&s->of[0].w[at + k * LANES]);
        low[k] = high[k] = x;
        sum_w[k] = w;
        sum_x[k] = w * x;
    }
    for (int i = 1; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            low[k] = least(x, low[k]);
            high[k] = most(x, high[k]);
            sum_w[k] = sum_w[k] + w;
            sum_x[k] = sum_x[k] + w * x;
        }
    EACH_WAY(k) {
        lowest[k] = low[k];
        low[k] = choose(less(zero, low[k]), zero, low[k]);
        flat[k] = p.weighted ? at_most(high[k], low[k]) : equal(high[k], low[k]);
        factor[k] = top / (high[k] - low[k]);
        scale[k] = all_of(1) / factor[k];
        won_factor[k] = factor[k];
        won_base[k] = low[k];
        early[k] = all_of(1);
        best[k] = zero;
    }

#define SAFE_LANES(k)                                                                                             \
    every(either(flat[k], both(at_most(magnitude(factor[k] * (lowest[k] - low[k])), all_of(SAFE)),                \
                               at_most(magnitude(factor[k] * (high[k] - low[k])), all_of(SAFE)))))
    if (!exact)
        EACH_WAY(k) if (!SAFE_LANES(k)) return 0;

    for (int i = 0; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            floats scaled = factor[k] * (x - low[k]);
            floats l = exact ? nearest_within(scaled, 0, p.most_quant)
                             : near_within(scaled, all_of(MAGIC), all_of(MAGIC + (float)p.most_quant));
            best[k] = best[k] + w * range_error(p, scale[k] * l + low[k] - x);
        }

    for (int step = 0; step <= p.steps; step++) {
        const floats wanted = all_of(p.first + p.step * (float)step + (float)p.most_quant);
        floats sum_l[WAYS], sum_l2[WAYS], sum_xl[WAYS], try_scale[WAYS], try_low[WAYS], error[WAYS];
        mask solved[WAYS];
        EACH_WAY(k) {
            factor[k] = wanted / (high[k] - low[k]);
            sum_l[k] = sum_l2[k] = sum_xl[k] = zero;
        }
        if (!exact && !p.weighted)
            EACH_WAY(k) if (!SAFE_LANES(k)) return 0;
        for (int i = 0; i < p.n; i++)
            EACH_WAY(k) {
                floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
                floats l = range_quants(p, factor[k] * (x - low[k]), exact), wl = w * l;
                store(&s->of[i].kept[at + k * LANES], l);
                sum_l[k] = sum_l[k] + wl;
                sum_l2[k] = sum_l2[k] + wl * l;
                sum_xl[k] = sum_xl[k] + wl * x;
            }
        EACH_WAY(k) {
            floats determinant = sum_w[k] * sum_l2[k] - sum_l[k] * sum_l[k];
            solved[k] = less(zero, determinant);
            try_scale[k] = (sum_w[k] * sum_xl[k] - sum_x[k] * sum_l[k]) / determinant;
            try_low[k] = (sum_l2[k] * sum_x[k] - sum_l[k] * sum_xl[k]) / determinant;
            mask above = less(zero, try_low[k]);
            try_scale[k] = choose(above, sum_xl[k] / sum_l2[k], try_scale[k]);
            try_low[k] = choose(above, zero, try_low[k]);
            error[k] = zero;
        }
        for (int i = 0; i < p.n; i++)
            EACH_WAY(k) {
                floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
                floats l = load(&s->of[i].kept[at + k * LANES]);
                error[k] = error[k] + w * range_error(p, try_scale[k] * l + try_low[k] - x);
            }
        EACH_WAY(k) {
            mask better = both(solved[k], less(error[k], best[k]));
            won_factor[k] = choose(better, factor[k], won_factor[k]);
            won_base[k] = choose(better, low[k], won_base[k]);
            early[k] = choose(better, zero, early[k]);
            best[k] = choose(better, error[k], best[k]);
            scale[k] = choose(better, try_scale[k], scale[k]);
            low[k] = choose(better, try_low[k], low[k]);
        }
    }
#undef SAFE_LANES

    EACH_WAY(k) { /* in a flat group the scale and all quants are zero */
        const floats first_low = choose(less(zero, lowest[k]), zero, lowest[k]);
        store(&s->scale[at + k * LANES], choose(flat[k], zero, scale[k]));
        store(&s->low[at + k * LANES], choose(flat[k], first_low, low[k]));
        store(&s->factor[at + k * LANES], choose(flat[k], zero, won_factor[k]));
        store(&s->base[at + k * LANES], choose(flat[k], zero, won_base[k]));
        store(&s->early[at + k * LANES], choose(flat[k], zero, early[k]));
        store(&s->total[at + k * LANES], sum_w[k]);
    }
    return 1;
}

/* The search for all lanes. */
INLINE void search_ranges(groups *s, const range_search p) {
    for (int at = 0; at < WIDTH; at += STEP)
        if (!search_range(s, at, p, 0))
            search_range(s, at, p, 1);
}

/* The quants of the fit that won, kept for lane vector `at`; `scaled` is what `factor` makes of x. */
INLINE floats won_quants(const groups *s, int at, const range_search p, floats x) {
    floats scaled = load(&s->factor[at]) * (x - load(&s->base[at]));
    floats plain = nearest_within(scaled, 0, p.most_quant);
    if (!p.weighted)
        return plain;
    return choose(less(all_of(0), load(&s->early[at])), plain, range_quants(p, scaled, 1));
}

/* Keeps the quants by the scales and minima that a reader sees; where such a scale is zero, those of the search. */
INLINE void keep_range_quants(groups *s, const range_search p, const float *scale, const float *minimum) {
    for (int at = 0; at < WIDTH; at += LANES) {
        const floats d = load(scale + at), m = load(minimum + at);
        const mask none = equal(d, all_of(0));
        if (__builtin_expect(any(none), 0)) {
            for (int i = 0; i < p.n; i++) {
                floats x = load(&s->of[i].x[at]), l = nearest_within((x + m) / d, 0, p.most_quant);
                store(&s->of[i].kept[at], choose(none, won_quants(s, at, p, x), l));
            }
            continue;
        }
        for (int i = 0; i < p.n; i++) {
            floats x = load(&s->of[i].x[at]);
            store(&s->of[i].kept[at], nearest_within((x + m) / d, 0, p.most_quant));
        }
    }
}

#endif
