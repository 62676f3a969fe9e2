/* The search for a scale alone: x is nearly scale * quant, with quants from -`most_quant` to `most_quant` - 1.
 *
 * Starts from the weight of largest magnitude, tries eighteen factors around it, keeps the one of least
 * weighted error. No product leaves the range in which rounding takes few operations: it is at most
 * `most_quant` + 1, because every factor is that over the largest weight. (A factor is finite: groups whose
 * largest weight is below TINY have the scale 0, and quants of 0 where others have `most_quant` added.)
 */
#ifndef PRISMFS_SEARCH_SCALE_H
#define PRISMFS_SEARCH_SCALE_H

#include "groups.h"

typedef struct {
    int n, most_quant;
} scale_search;

/* Quants of one weight in every lane, from -most_quant on. */
INLINE floats scale_quants(const scale_search p, floats scaled) {
    const float most_quant = (float)p.most_quant;
    return near_within(scaled, -most_quant, most_quant - 1);
}

/* What a factor makes of the weights: the sums that tell its error. `inside`: no quant is below -most_quant. */
INLINE void scale_sums(const groups *s, int at, const scale_search p, const int inside, const floats factor[WAYS],
                   floats sum_xl[WAYS], floats sum_l2[WAYS]) {
    EACH_WAY(k) sum_xl[k] = sum_l2[k] = all_of(0);
    for (int i = 0; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            floats wx = load(&s->of[i].kept[at + k * LANES]), scaled = factor[k] * x;
            floats l = inside ? least(rounded(scaled), all_of((float)p.most_quant - 1)) : scale_quants(p, scaled);
            sum_xl[k] = sum_xl[k] + wx * l;
            sum_l2[k] = sum_l2[k] + w * l * l;
        }
}

/* Lanes `at` to `at` + STEP. Leaves the scale, and the factor: 0 in the groups that count as zero. */
INLINE void search_scale(groups *s, int at, const scale_search p) {
    const floats zero = all_of(0);
    floats largest[WAYS], extreme[WAYS], factor[WAYS], won[WAYS], best[WAYS], scale[WAYS];
    floats sum_xl[WAYS], sum_l2[WAYS];
    EACH_WAY(k) largest[k] = extreme[k] = won[k] = best[k] = scale[k] = zero;
    for (int i = 0; i < p.n; i++)
        EACH_WAY(k) {
            floats x = load(&s->of[i].x[at + k * LANES]), w = load(&s->of[i].w[at + k * LANES]);
            mask larger = less(largest[k], magnitude(x));
            largest[k] = choose(larger, magnitude(x), largest[k]);
            extreme[k] = choose(larger, x, extreme[k]);
            store(&s->of[i].kept[at + k * LANES], w * x);
        }
    for (int turn = -10; turn <= 9; turn++) { /* the first, then those around it */
        if (turn == 0)
            continue;
        const float wanted = turn == -10 ? -(float)p.most_quant : -((float)p.most_quant + 0.1f * (float)turn);
        EACH_WAY(k) factor[k] = all_of(wanted) / extreme[k];
        if (turn <= 4) /* less than half a quant beyond the lowest */
            scale_sums(s, at, p, 1, factor, sum_xl, sum_l2);
        else
            scale_sums(s, at, p, 0, factor, sum_xl, sum_l2);
        EACH_WAY(k) {
            floats fit = sum_xl[k] / sum_l2[k];
            if (turn == -10) {
                scale[k] = choose(equal(sum_l2[k], zero), zero, fit);
                best[k] = scale[k] * sum_xl[k];
                won[k] = factor[k];
                continue;
            }
            mask better = both(less(zero, sum_l2[k]), less(best[k] * sum_l2[k], sum_xl[k] * sum_xl[k]));
            scale[k] = choose(better, fit, scale[k]);
            best[k] = choose(better, fit * sum_xl[k], best[k]);
            won[k] = choose(better, factor[k], won[k]);
        }
    }
    EACH_WAY(k) {
        mask nothing = less(largest[k], all_of(TINY));
        store(&s->scale[at + k * LANES], choose(nothing, zero, scale[k]));
        store(&s->factor[at + k * LANES], choose(nothing, zero, won[k]));
    }
}

INLINE void search_scales(groups *s, const scale_search p) {
    for (int at = 0; at < WIDTH; at += STEP)
        search_scale(s, at, p);
}

/* The quants of the fit that won, `most_quant` added, for lane vector `at`. */
INLINE floats won_steps(const groups *s, int at, const scale_search p, floats x) {
    floats factor = load(&s->factor[at]), quants = scale_quants(p, factor * x) + all_of((float)p.most_quant);
    return choose(equal(factor, all_of(0)), all_of(0), quants);
}

#endif
