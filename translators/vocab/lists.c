/* The long lists of a tokenizer.json: out of their JSON, and looked through. See lists.py.
 *
 * What is read here may be a stranger's: no byte outside the given ranges is looked at, whatever they hold,
 * and time is bounded by their sizes. Texts lie one behind the other with a byte between each two; `ends` tells
 * where each ends.
 */
#define _GNU_SOURCE /* memmem */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { UNUSUAL = -1, NO_MEMORY = -2 };

/* As `Texts` of lists.py. */
struct texts {
    const uint8_t *data;
    const int64_t *ends;
    int64_t count;
};

static const uint8_t *begin_of(const struct texts *texts, int64_t number)
{
    return texts->data + (number ? texts->ends[number - 1] + 1 : 0);
}

static const uint8_t *end_of(const struct texts *texts, int64_t number)
{
    return texts->data + texts->ends[number];
}

/* ---- JSON ---- */

struct json {
    const uint8_t *at, *end;
    uint8_t *out;
};

static int next(struct json *json)
{
    while (json->at < json->end &&
           (*json->at == ' ' || *json->at == '\n' || *json->at == '\t' || *json->at == '\r'))
        json->at++;
    return json->at < json->end ? *json->at : 0;
}

static int skip(struct json *json, int wanted)
{
    int found = next(json) == wanted;
    json->at += found;
    return found;
}

static int is_over(struct json *json)
{
    return next(json) == 0 && json->at == json->end;
}

/* What may stand in a text as it is: 1, but for a space 2; the rest are 0. */
static const uint8_t PLAIN[256] = {
    [' '] = 2, ['!'] = 1, ['#' ... '['] = 1, [']' ... 255] = 1,
};

/* Copies a string's text; 0 where it is none, or has escapes other than those of a quote and a backslash. */
static int string(struct json *json, int may_have_spaces)
{
    if (!skip(json, '"'))
        return 0;
    const uint8_t *at = json->at, *end = json->end;
    uint8_t *out = json->out, wanted = may_have_spaces ? 3 : 1;
    for (;;) {
        while (at < end && PLAIN[*at] & wanted)
            *out++ = *at++;
        if (at == end || *at != '\\')
            break;
        if (++at == end || (*at != '\\' && *at != '"'))
            return 0;
        *out++ = *at++;
    }
    if (at == end || *at != '"')
        return 0;
    json->at = at + 1;
    json->out = out;
    return 1;
}

static int pair(struct json *json)
{
    if (!skip(json, '[') || !string(json, 0) || !skip(json, ','))
        return 0;
    *json->out++ = ' ';
    return string(json, 0) && skip(json, ']');
}

/* An unsigned number of a few digits, or -1. */
static int64_t number(struct json *json)
{
    int64_t value = 0;
    const uint8_t *begin = (next(json), json->at);
    for (; json->at < json->end && *json->at >= '0' && *json->at <= '9' && json->at - begin < 9; json->at++)
        value = 10 * value + (*json->at - '0');
    int64_t digits = json->at - begin;
    return digits && (digits == 1 || *begin != '0') ? value : -1;
}

/* Writes the texts of an array of "left right", or of ["left", "right"], with a NUL behind each, and where each
 * ends; there is room for `size` bytes and for a third as many texts. Returns how many they are, or UNUSUAL. An
 * empty array is unusual. */
EXPORT int64_t prismfs_merges_written(const uint8_t *array, int64_t size, uint8_t *out, int64_t *ends)
{
    struct json json = {array, array + size, out};
    int64_t count = 0;
    if (!skip(&json, '['))
        return UNUSUAL;
    int pairs = next(&json) == '[';
    do {
        if (!(pairs ? pair(&json) : string(&json, 1)))
            return UNUSUAL;
        ends[count++] = json.out - out;
        *json.out++ = 0;
    } while (skip(&json, ','));
    return skip(&json, ']') && is_over(&json) ? count : UNUSUAL;
}

/* The same of an object of numbers by texts, where they count from 0 on. */
EXPORT int64_t prismfs_vocabulary_written(const uint8_t *object, int64_t size, uint8_t *out, int64_t *ends)
{
    struct json json = {object, object + size, out};
    int64_t count = 0;
    if (!skip(&json, '{'))
        return UNUSUAL;
    do {
        if (!string(&json, 1) || !skip(&json, ':') || number(&json) != count)
            return UNUSUAL;
        ends[count++] = json.out - out;
        *json.out++ = 0;
    } while (skip(&json, ','));
    return skip(&json, '}') && is_over(&json) ? count : UNUSUAL;
}

/* ---- texts within a text ---- */

static int is_within(const uint8_t *text, const uint8_t *end, const uint8_t *whole, int64_t size,
                     const uint8_t *pairs)
{
    if (text == end || end - text > size)
        return 0;
    for (const uint8_t *at = text; at + 1 < end; at++)
        if (!pairs[at[0] << 8 | at[1]])
            return 0;
    return memmem(whole, size, text, end - text) != NULL;
}

/* Writes a 1 for each text that occurs in `whole`, or does so without the prefix that it begins with, else a 0. */
EXPORT int64_t prismfs_texts_within(const struct texts *texts, const uint8_t *whole, int64_t size,
                                    const uint8_t *prefix, int64_t prefix_size, uint8_t *within)
{
    uint8_t *pairs = calloc(1 << 16, 1); /* the two bytes that somewhere follow one another */
    if (!pairs)
        return NO_MEMORY;
    for (int64_t at = 0; at + 1 < size; at++)
        pairs[whole[at] << 8 | whole[at + 1]] = 1;
    for (int64_t number = 0; number < texts->count; number++) {
        const uint8_t *text = begin_of(texts, number), *end = end_of(texts, number);
        int has_prefix = prefix_size && end - text >= prefix_size && !memcmp(text, prefix, prefix_size);
        within[number] = is_within(text, end, whole, size, pairs) ||
                         (has_prefix && (end - text == prefix_size ||
                                         is_within(text + prefix_size, end, whole, size, pairs)));
    }
    free(pairs);
    return texts->count;
}

/* ---- texts by their hashes ---- */

static const uint64_t BASE = 0x9E3779B97F4A7C15u;

struct hash {
    uint64_t sum, power; /* of BASE, to the text's size */
};

static struct hash hash(const uint8_t *text, const uint8_t *end)
{
    struct hash made = {0, 1};
    for (; text < end; text++) {
        made.sum = (made.sum + *text + 1) * BASE; /* one is added, so that a NUL counts */
        made.power *= BASE;
    }
    return made;
}

static struct hash behind(struct hash left, struct hash right)
{
    return (struct hash){left.sum * right.power + right.sum, left.power * right.power};
}

/* Texts by 63-bit hashes. Unlike texts have the same once in 2**63 by chance, and as often as somebody wants who
 * chooses them: good for noticing that a file is broken, not for what must not be fooled. */
struct table {
    uint64_t *hashes; /* 0 where there is none; the last bit is for who fills it */
    uint64_t mask;
    int64_t patience; /* steps from a place to the next, before somebody must have chosen the texts */
};

static int is_made(struct table *table, int64_t count)
{
    uint64_t places = 1024;
    while (places < 2 * (uint64_t)count)
        places *= 2;
    table->mask = places - 1;
    table->hashes = calloc(places, sizeof *table->hashes);
    return table->hashes != NULL;
}

/* Where a text's hash is or would be. */
static uint64_t *place_of(struct table *table, struct hash asked)
{
    uint64_t spread = (asked.sum ^ asked.sum >> 29) * 0xD6E8FEB86659FD93u;
    uint64_t slot = (spread >> 32) & table->mask;
    while (table->hashes[slot] && table->hashes[slot] >> 1 != asked.sum >> 1 && --table->patience >= 0)
        slot = (slot + 1) & table->mask;
    return table->hashes + slot;
}

/* What is kept of a text, 0 if it is not there. */
static uint64_t kept(struct table *table, struct hash asked)
{
    uint64_t hash = *place_of(table, asked);
    return hash >> 1 == asked.sum >> 1 ? hash : 0;
}

/* Writes the number of each text that is asked for, or -1. No text may be asked for twice. */
EXPORT int64_t prismfs_texts_numbered(const struct texts *texts, const struct texts *asked, int64_t *numbers)
{
    struct table table = {.patience = 16 * (texts->count + asked->count) + 1024};
    if (!is_made(&table, asked->count))
        return NO_MEMORY;
    int64_t *askers = malloc((table.mask + 1) * sizeof *askers), made = NO_MEMORY;
    if (askers) {
        for (int64_t number = 0; number < asked->count; number++) {
            struct hash hashed = hash(begin_of(asked, number), end_of(asked, number));
            uint64_t *place = place_of(&table, hashed);
            *place = hashed.sum;
            askers[place - table.hashes] = number;
            numbers[number] = -1;
        }
        for (int64_t number = 0; number < texts->count; number++) {
            const uint8_t *text = begin_of(texts, number);
            int64_t size = end_of(texts, number) - text;
            uint64_t *place = place_of(&table, hash(text, text + size));
            int64_t asker = *place ? askers[place - table.hashes] : -1;
            if (asker >= 0 && end_of(asked, asker) - begin_of(asked, asker) == size &&
                !memcmp(begin_of(asked, asker), text, size))
                numbers[asker] = number;
        }
        made = table.patience < 0 ? UNUSUAL : asked->count;
    }
    free(askers);
    free(table.hashes);
    return made;
}

/* What is kept of the token that a merge makes; 0 unless it is two tokens, with a space between, that make one. */
static uint64_t result_of(struct table *table, const uint8_t *merge, const uint8_t *end)
{
    const uint8_t *space = memchr(merge, ' ', end - merge);
    if (!space || memchr(space + 1, ' ', end - space - 1))
        return 0;
    struct hash left = hash(merge, space), right = hash(space + 1, end);
    return kept(table, left) && kept(table, right) ? kept(table, behind(left, right)) : 0;
}

/* Writes the numbers of the merges that make a token of those that `wanted` has a 1 for, and returns how many;
 * UNUSUAL unless no token is there twice, and all merges are of tokens and make one. */
EXPORT int64_t prismfs_merges_making(const struct texts *tokens, const struct texts *merges, const uint8_t *wanted,
                                     int64_t *making)
{
    struct table table = {.patience = 16 * (tokens->count + 3 * merges->count) + 1024};
    int64_t made = 0;
    if (!is_made(&table, tokens->count))
        return NO_MEMORY;
    for (int64_t number = 0; number < tokens->count && made >= 0; number++) {
        struct hash hashed = hash(begin_of(tokens, number), end_of(tokens, number));
        uint64_t *place = place_of(&table, hashed);
        made = *place || table.patience < 0 ? UNUSUAL : 0;
        *place = (hashed.sum & ~1ull) | wanted[number];
    }
    for (int64_t number = 0; number < merges->count && made >= 0; number++) {
        uint64_t result = result_of(&table, begin_of(merges, number), end_of(merges, number));
        if (!result || table.patience < 0)
            made = UNUSUAL;
        else if (result & 1)
            making[made++] = number;
    }
    free(table.hashes);
    return made;
}
