/* Dispatch: which builds this processor can run, and the way into each. The only functions seen from outside.
 *
 * A processor without the instructions of a build must never enter it: Python asks `prismfs_kernels_builds`
 * once and stays within its answer; here it is asked again, since a crash would take a whole daemon along.
 */
#define BUILD portable
#include "run.h"

#define EXPORTED __attribute__((visibility("default")))
#define DECLARED(build)                                                                                           \
    int prismfs_knows_##build(int32_t type, int32_t source, int weighted);                                        \
    int64_t prismfs_quantise_##build(const run *r, int32_t *in_result, void *work);                               \
    int prismfs_reads_##build(int32_t type);                                                                      \
    void prismfs_read_##build(int32_t type, const uint8_t *from, int64_t blocks, float *to);                       \
    void prismfs_product_##build(const float *left, const float *right, int64_t rows, int64_t rank,                \
                                 int64_t columns, float scale, float *out);

DECLARED(portable)
#if defined(WITH_AVX2)
#include <cpuid.h>
DECLARED(avx2)
#endif
#if defined(WITH_AVX512)
DECLARED(avx512)
#endif

enum { PORTABLE, AVX2, AVX512, BUILDS };

EXPORTED int32_t prismfs_kernels_builds(void);
EXPORTED int32_t prismfs_kernels_knows(int32_t build, int32_t type, int32_t source, int32_t weighted);
EXPORTED int64_t prismfs_kernels_quantise(int32_t build, const run *r, int32_t *in_result, void *work);

EXPORTED int32_t prismfs_kernels_reads(int32_t build, int32_t type);
EXPORTED int32_t prismfs_kernels_read(int32_t build, int32_t type, const uint8_t *from, int64_t blocks, float *to);
EXPORTED int32_t prismfs_kernels_product(int32_t build, const float *left, const float *right, int64_t rows,
                                         int64_t rank, int64_t columns, float scale, float *out);

static int32_t detected(void) {
    int32_t found = 1 << PORTABLE;
#if defined(WITH_AVX2)
    unsigned a = 0, b = 0, c = 0, d = 0;
    const int halves = __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
    if (halves && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        found |= 1 << AVX2;
#endif
#if defined(WITH_AVX512)
    if (found & 1 << AVX2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        found |= 1 << AVX512;
#endif
    return found;
}

/* A bit for each build that was compiled and that can run here. Asked once: in a virtual machine the question
 * takes longer than a small run. Threads that ask at the same time find the same. */
int32_t prismfs_kernels_builds(void) {
    static int32_t known;
    int32_t found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!found) {
        found = detected();
        __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    }
    return found;
}

int32_t prismfs_kernels_knows(int32_t build, int32_t type, int32_t source, int32_t weighted) {
    return build >= 0 && build < BUILDS && prismfs_kernels_builds() >> build & 1 &&
           prismfs_knows_portable(type, source, weighted);
}

/* -1, or the first weight that upstream refuses: in the source, or `in_result` in the block made of it.
 * -2 where the build cannot do it. `work`: WORK_BYTES at a multiple of 64, or null. */
int64_t prismfs_kernels_quantise(int32_t build, const run *r, int32_t *in_result, void *work) {
    uint8_t own[WORK_BYTES] ALIGNED;
    if (!prismfs_kernels_knows(build, r->type, r->source, r->columns != 0))
        return -2;
    if (!work)
        work = own;
#if defined(WITH_AVX512)
    if (build == AVX512)
        return prismfs_quantise_avx512(r, in_result, work);
#endif
#if defined(WITH_AVX2)
    if (build == AVX2)
        return prismfs_quantise_avx2(r, in_result, work);
#endif
    return prismfs_quantise_portable(r, in_result, work);
}

int32_t prismfs_kernels_reads(int32_t build, int32_t type) {
    return build >= 0 && build < BUILDS && prismfs_kernels_builds() >> build & 1 && prismfs_reads_portable(type);
}

/* The numbers of whole blocks. 0 where the build cannot do it. */
int32_t prismfs_kernels_read(int32_t build, int32_t type, const uint8_t *from, int64_t blocks, float *to) {
    if (!prismfs_kernels_reads(build, type))
        return 0;
    switch (build) {
#if defined(WITH_AVX512)
    case AVX512:
        prismfs_read_avx512(type, from, blocks, to);
        return 1;
#endif
#if defined(WITH_AVX2)
    case AVX2:
        prismfs_read_avx2(type, from, blocks, to);
        return 1;
#endif
    default:
        prismfs_read_portable(type, from, blocks, to);
        return 1;
    }
}

/* `left` [rows, rank] times `right` [rank, columns], times `scale`. 0 where the build cannot run. */
int32_t prismfs_kernels_product(int32_t build, const float *left, const float *right, int64_t rows, int64_t rank,
                                int64_t columns, float scale, float *out) {
    if (build < 0 || build >= BUILDS || !(prismfs_kernels_builds() >> build & 1))
        return 0;
    switch (build) {
#if defined(WITH_AVX512)
    case AVX512:
        prismfs_product_avx512(left, right, rows, rank, columns, scale, out);
        return 1;
#endif
#if defined(WITH_AVX2)
    case AVX2:
        prismfs_product_avx2(left, right, rows, rank, columns, scale, out);
        return 1;
#endif
    default:
        prismfs_product_portable(left, right, rows, rank, columns, scale, out);
        return 1;
    }
}
