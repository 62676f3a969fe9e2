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

/* Quants of one weight in every lane, for a fit that is not the first. `small`: see is_small. */
INLINE floats range_quants(const range_search p, floats scaled, const int exact, const int small) {
    if (!p.weighted && exact)
        return nearest_within(scaled, 0, p.most_quant);
    if (!p.weighted)
        scaled = rounded(scaled);
    scaled = most(scaled, all_of(0));
    if (!small)
        scaled = least(scaled, all_of((float)p.most_quant));
    return p.weighted ? rounded(scaled) : scaled;
}

INLINE floats range_error(const range_search p, floats difference) {
    if (p.absolute)
        return magnitude(difference);
    return difference * difference;
}

/* The state of the search in one vector of lanes. */
typedef struct {
    floats lowest, high, sum_w, sum_x;                               /* of the groups */
    floats best, scale, low, won_factor, won_base, early;            /* the fit that is best so far */
    floats factor, sum_l, sum_l2, sum_xl, try_scale, try_low, error; /* the one that is tried */
    mask flat, solved;
} search;

/* What a fit makes of the weights: beyond what is rounded in few operations, within it, or small as well. */
enum { UNSAFE, WITHIN, SMALL };

/* Whether rounding in few operations is right for what is tried. */
INLINE int is_safe(const search *v) {
    const mask below = at_most(magnitude(v->factor * (v->lowest - v->low)), all_of(SAFE));
    const mask above = at_most(magnitude(v->factor * (v->high - v->low)), all_of(SAFE));
    return every(either(v->flat, both(below, above)));
}

/* Whether none of it is more than `most_quant` once it is rounded. */
INLINE int is_small(const range_search p, const search *v) {
    const floats most_quant = all_of((float)p.most_quant + 0.49f);
    const mask below = at_most(v->factor * (v->lowest - v->low), most_quant);
    const mask above = at_most(v->factor * (v->high - v->low), most_quant);
    return every(either(v->flat, both(below, above)));
}

/* The first fit, by the groups' ranges, of the lanes from `at` on; 0 if it would have to be `exact`. */
INLINE int begin(const groups *s, int at, const range_search p, const int exact, search v[WAYS]) {
    EACH_WAY(k) {
        floats x = load(&s->of[0].x[at + k * LANES]), w = load(&s->of[0].w[at + k * LANES]);
        v[k].lowest = v[k].high = x;
        v[k].sum_w = w;
        v[k].sum_x = w * x;
    }
    for (int i = 1; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            v[k].lowest = least(x, v[k].lowest);
            v[k].high = most(x, v[k].high);
            v[k].sum_w = v[k].sum_w + w;
            v[k].sum_x = v[k].sum_x + w * x;
        }
    EACH_WAY(k) {
        v[k].low = choose(less(all_of(0), v[k].lowest), all_of(0), v[k].lowest);
        v[k].flat = p.weighted ? at_most(v[k].high, v[k].low) : equal(v[k].high, v[k].low);
        v[k].factor = all_of((float)p.most_quant) / (v[k].high - v[k].low);
        v[k].scale = all_of(1) / v[k].factor;
        v[k].won_factor = v[k].factor;
        v[k].won_base = v[k].low;
        v[k].early = all_of(1);
        v[k].best = all_of(0);
    }
    if (!exact)
        EACH_WAY(k) if (!is_safe(&v[k])) return 0;
    for (int i = 0; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            floats scaled = v[k].factor * (x - v[k].low);
            floats l = exact ? nearest_within(scaled, 0, p.most_quant) : near_within(scaled, 0, (float)p.most_quant);
            v[k].best = v[k].best + w * range_error(p, v[k].scale * l + v[k].low - x);
        }
    return 1;
}

/* The fit to be tried next, and in which range all that it makes of the weights will be. */
INLINE int aim(const range_search p, int step, const int exact, search v[WAYS]) {
    const float wanted = p.first + p.step * (float)step + (float)p.most_quant;
    int safe = exact || p.weighted, small = 1;
    EACH_WAY(k) {
        v[k].factor = all_of(wanted) / (v[k].high - v[k].low);
        small &= is_small(p, &v[k]);
    }
    if (!safe) {
        safe = 1;
        EACH_WAY(k) safe &= is_safe(&v[k]);
    }
    return safe ? small ? SMALL : WITHIN : UNSAFE;
}

/* Its quants, and their sums. */
INLINE void range_sums(groups *s, int at, const range_search p, const int exact, const int small, search v[WAYS]) {
    EACH_WAY(k) v[k].sum_l = v[k].sum_l2 = v[k].sum_xl = all_of(0);
    for (int i = 0; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            floats l = range_quants(p, v[k].factor * (x - v[k].low), exact, small), wl = w * l;
            store(&s->of[i].kept[at + k * LANES], l);
            v[k].sum_l = v[k].sum_l + wl;
            v[k].sum_l2 = v[k].sum_l2 + wl * l;
            v[k].sum_xl = v[k].sum_xl + wl * x;
        }
}

/* The scale and minimum of least error with the quants of the fit that is tried. */
INLINE void solve(groups *s, int at, const range_search p, const int exact, const int range, search v[WAYS]) {
    if (range == SMALL)
        range_sums(s, at, p, exact, 1, v);
    else
        range_sums(s, at, p, exact, 0, v);
    EACH_WAY(k) {
        const floats determinant = v[k].sum_w * v[k].sum_l2 - v[k].sum_l * v[k].sum_l;
        v[k].solved = less(all_of(0), determinant);
        v[k].try_scale = (v[k].sum_w * v[k].sum_xl - v[k].sum_x * v[k].sum_l) / determinant;
        v[k].try_low = (v[k].sum_l2 * v[k].sum_x - v[k].sum_l * v[k].sum_xl) / determinant;
        const mask above = less(all_of(0), v[k].try_low);
        if (any(above)) { /* seldom: groups without weights below zero */
            v[k].try_scale = choose(above, v[k].sum_xl / v[k].sum_l2, v[k].try_scale);
            v[k].try_low = choose(above, all_of(0), v[k].try_low);
        }
    }
}

/* Keeps the fit that was tried, where its error is less. */
INLINE void judge(const groups *s, int at, const range_search p, search v[WAYS]) {
    EACH_WAY(k) v[k].error = all_of(0);
    for (int i = 0; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            floats l = load(&s->of[i].kept[at + k * LANES]);
            v[k].error = v[k].error + w * range_error(p, v[k].try_scale * l + v[k].try_low - x);
        }
    EACH_WAY(k) {
        const mask better = both(v[k].solved, less(v[k].error, v[k].best));
        v[k].won_factor = choose(better, v[k].factor, v[k].won_factor);
        v[k].won_base = choose(better, v[k].low, v[k].won_base);
        v[k].early = choose(better, all_of(0), v[k].early);
        v[k].best = choose(better, v[k].error, v[k].best);
        v[k].scale = choose(better, v[k].try_scale, v[k].scale);
        v[k].low = choose(better, v[k].try_low, v[k].low);
    }
}

/* Leaves what was found; in a flat group the scale and all quants are zero. */
INLINE void leave(groups *s, int at, const search v[WAYS]) {
    EACH_WAY(k) {
        const floats zero = all_of(0), first_low = choose(less(zero, v[k].lowest), zero, v[k].lowest);
        store(&s->scale[at + k * LANES], choose(v[k].flat, zero, v[k].scale));
        store(&s->low[at + k * LANES], choose(v[k].flat, first_low, v[k].low));
        store(&s->factor[at + k * LANES], choose(v[k].flat, zero, v[k].won_factor));
        store(&s->base[at + k * LANES], choose(v[k].flat, zero, v[k].won_base));
        store(&s->early[at + k * LANES], choose(v[k].flat, zero, v[k].early));
        store(&s->total[at + k * LANES], v[k].sum_w);
    }
}

/* All lanes; 0 if some lane left the safe range and `exact` was not asked for. Where there are lanes enough, they
 * take turns: the processor does some of one half's sums while the other half waits for its divisions. */
INLINE int search_range(groups *s, const range_search p, const int exact) {
    const int halves = WIDTH > STEP;
    search v[WAYS], other[WAYS];
    if (!begin(s, 0, p, exact, v) || (halves && !begin(s, STEP, p, exact, other)))
        return 0;
    for (int step = 0; step <= p.steps; step++) {
        const int range = aim(p, step, exact, v), other_range = halves ? aim(p, step, exact, other) : SMALL;
        if (range == UNSAFE || other_range == UNSAFE)
            return 0;
        solve(s, 0, p, exact, range, v);
        if (halves)
            solve(s, STEP, p, exact, other_range, other);
        judge(s, 0, p, v);
        if (halves)
            judge(s, STEP, p, other);
    }
    leave(s, 0, v);
    if (halves)
        leave(s, STEP, other);
    return 1;
}

/* The search for all lanes. */
INLINE void search_ranges(groups *s, const range_search p) {
    if (!search_range(s, p, 0))
        search_range(s, p, 1);
}

/* The quants of the fit that won, kept for lane vector `at`; `scaled` is what `factor` makes of x. */
INLINE floats won_quants(const groups *s, int at, const range_search p, floats x) {
    floats scaled = load(&s->factor[at]) * (x - load(&s->base[at]));
    floats plain = nearest_within(scaled, 0, p.most_quant);
    if (!p.weighted)
        return plain;
    return choose(less(all_of(0), load(&s->early[at])), plain, range_quants(p, scaled, 1, 0));
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
