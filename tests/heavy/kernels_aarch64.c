/* The kernels' program for another processor: numbers from stdin through one kernel, to stdout.
 *
 * Arguments: type, source type (as GGUF numbers them), rows, weights a row, bytes of the result. Before the
 * numbers come the weights of the columns, if a sixth argument is there. Exit code 1: no such kernel, or a
 * number that is refused.
 */
#define BUILD portable
#include "run.h"

#include <stdio.h>
#include <stdlib.h>

int prismfs_knows_portable(int32_t type, int32_t source, int weighted);
int64_t prismfs_quantise_portable(const run *r, int32_t *in_result, void *work);

static uint8_t *some(size_t bytes) {
    uint8_t *room = malloc(bytes);
    if (!room)
        exit(1);
    return room;
}

static uint8_t *taken(size_t bytes) {
    uint8_t *room = some(bytes);
    if (fread(room, 1, bytes, stdin) != bytes)
        exit(1);
    return room;
}

int main(int count, char **arguments) {
    static uint8_t work[WORK_BYTES] ALIGNED;
    if (count < 6)
        return 1;
    const int64_t rows = atoll(arguments[3]), length = atoll(arguments[4]);
    const size_t bytes = (size_t)atoll(arguments[5]);
    run r = {.type = atoi(arguments[1]), .source = atoi(arguments[2]), .rows = rows, .length = length};
    int32_t in_result;
    if (!prismfs_knows_portable(r.type, r.source, count > 6))
        return 1;
    if (count > 6)
        r.columns = (const float *)(const void *)taken((size_t)length * sizeof(float));
    r.from = taken((size_t)(rows * length) * (r.source == 0 ? 4 : 2));
    r.to = some(bytes);
    if (prismfs_quantise_portable(&r, &in_result, work) >= 0)
        return 1;
    return fwrite(r.to, 1, bytes, stdout) != bytes;
}
