/* A byte-level language model: trains a transformer on any text file, prints bits per byte, writes
 * a sample. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata.h>

static const char usage[] =
    "Usage: mpirun bytes_transformer --text=FILE [options]\n"
    "Trains a transformer to foretell the next byte of a text, any text:\n"
    "    bible -f gen1:1-rev22:21 > bible.txt     (Debian's package bible-kjv)\n"
    "  --steps=N            training steps (1000)\n"
    "  --report=N           bits per byte are printed every so many steps (100)\n"
    "  --batch-size=N       sequences in a step, over all ranks (16)\n"
    "  --length=N           bytes in a sequence (128)\n"
    "  --blocks=N           transformer blocks (4)\n"
    "  --heads=N            attention heads of 64 features (4)\n"
    "  --dropout=RATE       (0)\n"
    "  --learning-rate=RATE of Adam, after a warm-up (0.001)\n"
    "  --sample=N           bytes to write at the end (400)\n"
    "  --prompt=TEXT        what the sample begins with (\"And \")\n"
    "  --checkpoint=FILE.h5 saves the run at every report, the last two are kept; goes on from the "
    "newest\n"
    "  --output=FILE.keras  saves the model\n"
    "  --mesh=data=D,rows=R,cols=C  --seed=N  --dtype-policy=mixed_bfloat16  --plan  "
    "--profile=FILE  …\n";

enum { VALUES = 256, HEAD_FEATURES = 64, HELD_OUT_BATCHES = 16 };

typedef struct arguments {
    const char *text, *prompt, *checkpoint, *output;
    int64_t steps, report, batch_size, length, blocks, heads, sample;
    double dropout, learning_rate;
    bool help;
} arguments;

/* --- the command line --- */

static const char *value_of(const char *argument, const char *option)
{
    size_t length = strlen(option);
    bool same = strncmp(argument, option, length) == 0 && argument[length] == '=';
    return same ? argument + length + 1 : NULL;
}

static bool take_texts(const char *argument, arguments *a)
{
    const struct {
        const char *option, **member;
    } texts[] = {{"--text", &a->text},
                 {"--prompt", &a->prompt},
                 {"--checkpoint", &a->checkpoint},
                 {"--output", &a->output}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *value = value_of(argument, texts[i].option);
        if (value)
            *texts[i].member = value;
        if (value)
            return true;
    }
    return false;
}

static bool take_counts(const char *argument, arguments *a)
{
    const struct {
        const char *option;
        int64_t *member, most;
    } counts[] = {{"--steps", &a->steps, 100000000},
                  {"--report", &a->report, 100000000},
                  {"--batch-size", &a->batch_size, 1 << 20},
                  {"--length", &a->length, 1 << 16},
                  {"--blocks", &a->blocks, 1000},
                  {"--heads", &a->heads, 1000},
                  {"--sample", &a->sample, 1 << 20}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const char *value = value_of(argument, counts[i].option);
        char *end = NULL;
        long long number = value ? strtoll(value, &end, 10) : 0;
        if (value && *value && !*end && number > 0 && number <= counts[i].most) {
            *counts[i].member = number;
            return true;
        }
    }
    return false;
}

static bool take_rates(const char *argument, arguments *a)
{
    const struct {
        const char *option;
        double *member;
    } rates[] = {{"--dropout", &a->dropout}, {"--learning-rate", &a->learning_rate}};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        const char *value = value_of(argument, rates[i].option);
        char *end = NULL;
        double number = value ? strtod(value, &end) : 0;
        if (value && *value && !*end && number >= 0 && number < 1) {
            *rates[i].member = number;
            return true;
        }
    }
    return false;
}

static void parse(strata_context *ctx, int argc, char **argv, arguments *a)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            a->help = true;
        else if (!take_texts(argv[i], a) && !take_counts(argv[i], a) && !take_rates(argv[i], a))
            strata_fail(ctx, STRATA_INVALID,
                        "option '%s' is unknown or has a bad value; try --help", argv[i]);
    }
    if (!a->text && !a->help)
        strata_fail(ctx, STRATA_INVALID, "--text=FILE is missing: the text to learn; try --help");
}

/* --- the text --- */

typedef struct text {
    unsigned char *bytes; /* (size) */
    int64_t size;
} text;

static void read_text(strata_context *ctx, const char *path, text *t)
{
    FILE *file = fopen(path, "rb");
    long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size < 0)
        strata_fail(ctx, STRATA_NO_INPUT, "cannot open the text '%s'", path);
    t->bytes = size > 0 ? malloc((size_t)size) : NULL;
    if (size > 0 && !t->bytes)
        strata_fail(ctx, STRATA_NO_MEMORY, "no memory for the %ld bytes of '%s'", size, path);
    if (t->bytes &&
        (fseek(file, 0, SEEK_SET) != 0 || fread(t->bytes, 1, (size_t)size, file) != (size_t)size))
        strata_fail(ctx, STRATA_IO, "cannot read the text '%s'", path);
    t->size = size;
    if (file)
        fclose(file);
    strata_agree(ctx);
}

/*
 * Sequences one after the other: x are bytes first … , y the same memory one byte on, since each
 * byte is foretold from those before it.
 */
static strata_dataset *sequences(strata_context *ctx, const unsigned char *bytes, int64_t size,
                                 int64_t length)
{
    strata_shape shape = STRATA_SHAPE((size - 1) / length, length);
    return strata_array_dataset(ctx, .x = {{bytes, shape, STRATA_UINT8}},
                                .y = {{bytes + 1, shape, STRATA_UINT8}});
}

/* The last tenth is held out, and of it at most so many batches are looked at. */
static bool cut(strata_context *ctx, const text *t, const arguments *a, strata_dataset **training,
                strata_dataset **held_out)
{
    int64_t most = HELD_OUT_BATCHES * a->batch_size * a->length + 1;
    int64_t tail = t->size / 10 < most ? t->size / 10 : most;
    if (tail <= a->length || (t->size - tail - 1) / a->length < a->batch_size) {
        strata_fail(ctx, STRATA_BAD_DATA,
                    "the text '%s' has %lld bytes, too few for batches of %lld × %lld", a->text,
                    (long long)t->size, (long long)a->batch_size, (long long)a->length);
        return false;
    }
    *training = sequences(ctx, t->bytes, t->size - tail, a->length);
    *held_out = sequences(ctx, t->bytes + t->size - tail, tail, a->length);
    return *training && *held_out;
}

/* --- the model --- */

static strata_tensor *block(strata_tensor *x, const arguments *a)
{
    int64_t width = a->heads * HEAD_FEATURES;
    strata_tensor *h = strata_layer_normalization(x);
    h = strata_multi_head_attention(h, h, .num_heads = a->heads, .key_dim = HEAD_FEATURES,
                                    .dropout = a->dropout, .use_causal_mask = true);
    x = strata_add(STRATA_LIST(x, h));
    h = strata_layer_normalization(x);
    h = strata_dense(h, .units = 4 * width, .activation = "gelu");
    h = strata_dense(h, .units = width);
    h = strata_dropout(h, .rate = a->dropout);
    return strata_add(STRATA_LIST(x, h));
}

/* Logits (…, 256) of the next byte. */
static strata_model *network(strata_context *ctx, const arguments *a)
{
    strata_tensor *bytes = strata_input(ctx, .shape = {a->length}, .dtype = "int32");
    strata_tensor *x =
        strata_embedding(bytes, .input_dim = VALUES, .output_dim = a->heads * HEAD_FEATURES);
    for (int64_t i = 0; i < a->blocks; i++)
        x = block(x, a);
    x = strata_layer_normalization(x);
    return strata_functional(bytes, strata_dense(x, .units = VALUES, .name = "logits"),
                             .name = "bytes_transformer");
}

/* --- training --- */

/* Nats to bits. */
static void print_bits(strata_callback *self, strata_model *model, int epoch,
                       const strata_logs *logs)
{
    const arguments *a = self->state;
    if (strata_rank(strata_model_context(model)) != 0)
        return;
    int64_t step = (epoch + 1) * a->report < a->steps ? (epoch + 1) * a->report : a->steps;
    printf("step %lld: %.3f bits per byte, %.3f on held-out text\n", (long long)step,
           strata_logs_get(logs, "loss") / M_LN2, strata_logs_get(logs, "val_loss") / M_LN2);
    fflush(stdout);
}

static void train(strata_context *ctx, strata_model *model, strata_dataset *training,
                  strata_dataset *held_out, const arguments *a)
{
    char optimizer[256];
    snprintf(optimizer, sizeof optimizer,
             "Adam(learning_rate=CosineDecay(initial_learning_rate=0.0, decay_steps=%lld, "
             "warmup_target=%.17g, warmup_steps=%lld, alpha=0.1), clipnorm=1.0)",
             (long long)a->steps, a->learning_rate,
             (long long)(a->steps < 1000 ? a->steps / 10 : 100));
    strata_compile(model, .optimizer = optimizer,
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)");
    char series[1024];
    snprintf(series, sizeof series, "Checkpoint('%s')", a->checkpoint ? a->checkpoint : "");
    strata_callback printer = {
        .name = "bits per byte", .state = (void *)a, .epoch_end = print_bits};
    strata_fit(
        model, training, .batch_size = a->batch_size, .steps_per_epoch = a->report,
        .epochs = (int)((a->steps + a->report - 1) / a->report), .validation_data = held_out,
        .verbose = "0",
        .callbacks = {&printer, a->checkpoint ? strata_callback_from_text(ctx, series) : NULL},
        .resume = a->checkpoint ? "auto" : NULL);
}

/* --- the sample --- */

/* The most likely byte plus noise: log of a random number's negated log (Gumbel), so that each byte
 * is drawn with its probability. `random` is advanced alike on all ranks. */
static int draw(const float *logits, uint64_t *random)
{
    int best = 0;
    double highest = -INFINITY;
    for (int value = 0; value < VALUES; value++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        double uniform = ((double)(*random >> 11) + 0.5) / 9007199254740992.0;
        double score = logits[value] - log(-log(uniform));
        if (score > highest) {
            highest = score;
            best = value;
        }
    }
    return best;
}

/* A sequence that is written, and what is foretold of its last part. */
typedef struct sample {
    int32_t *bytes; /* (length of a sequence + what is written) */
    int64_t count;
    float *logits; /* (length, 256) */
} sample;

/* Logits of the byte after the last one. Nothing depends on what stands behind a byte, so that a
 * short beginning may be followed by anything. */
static const float *foretell(strata_model *model, const sample *s, int64_t length)
{
    strata_context *ctx = strata_model_context(model);
    int64_t seen = s->count < length ? s->count : length;
    strata_scope_begin(ctx);
    strata_tensor *x = strata_tensor_batch_from(ctx, STRATA_INT32, STRATA_SHAPE(1, length),
                                                s->bytes + s->count - seen);
    strata_tensor *y = x ? strata_layer_call(strata_model_layer(model), x) : NULL;
    bool done = y && strata_tensor_gather(y, s->logits) == STRATA_OK;
    strata_tensor_release(x);
    strata_scope_end(ctx);
    return done ? s->logits + (seen - 1) * VALUES : NULL;
}

static void print_sample(const sample *s)
{
    for (int64_t i = 0; i < s->count; i++)
        putchar(s->bytes[i]);
    putchar('\n');
}

/* After the prompt, or after a line end where there is none. */
static void write_sample(strata_model *model, const arguments *a)
{
    strata_context *ctx = strata_model_context(model);
    const char *prompt = *a->prompt ? a->prompt : "\n";
    int64_t first = (int64_t)strlen(prompt);
    sample s = {.bytes = calloc((size_t)(first + a->sample + a->length), sizeof *s.bytes),
                .logits = malloc((size_t)a->length * VALUES * sizeof *s.logits)};
    if (!s.bytes || !s.logits)
        strata_fail(ctx, STRATA_NO_MEMORY, "no memory for a sample of %lld bytes",
                    (long long)a->sample);
    uint64_t random = 1;
    const float *logits = NULL;
    for (; strata_agree(ctx) == STRATA_OK && s.count < first; s.count++)
        s.bytes[s.count] = (unsigned char)prompt[s.count];
    while (s.count >= first && s.count < first + a->sample &&
           (logits = foretell(model, &s, a->length)))
        s.bytes[s.count++] = draw(logits, &random);
    if (logits && strata_rank(ctx) == 0)
        print_sample(&s);
    free(s.bytes);
    free(s.logits);
}

static void run(strata_context *ctx, const arguments *a)
{
    text t = {0};
    strata_dataset *training, *held_out;
    read_text(ctx, a->text, &t);
    if (strata_error(ctx) == STRATA_OK && cut(ctx, &t, a, &training, &held_out)) {
        strata_model *model = network(ctx, a);
        if (model)
            strata_model_summary(model, stdout, 0);
        train(ctx, model, training, held_out, a);
        if (strata_error(ctx) == STRATA_OK)
            write_sample(model, a);
        if (a->output && strata_save(model, a->output) == STRATA_OK && strata_rank(ctx) == 0)
            printf("saved %s\n", a->output);
        strata_dataset_free(training);
        strata_dataset_free(held_out);
    }
    free(t.bytes);
}

int main(int argc, char **argv)
{
    arguments a = {.prompt = "And ",
                   .steps = 1000,
                   .report = 100,
                   .batch_size = 16,
                   .length = 128,
                   .blocks = 4,
                   .heads = 4,
                   .learning_rate = 1e-3,
                   .sample = 400};
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    parse(ctx, argc, argv, &a);
    if (a.help && strata_rank(ctx) == 0)
        fputs(usage, stdout);
    if (!a.help && strata_error(ctx) == STRATA_OK)
        run(ctx, &a);
    return strata_finish(&ctx);
}
