/* Trains a small network on Fashion-MNIST over all ranks and saves it as fashion.keras. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strata.h>

static const char usage[] =
    "Usage: mpirun fashion_mnist [--data=FOLDER] [--epochs=N] [--batch-size=N] "
    "[--output=FILE.keras]\n"
    "                            [--mesh=data=D,rows=R,cols=C] [--seed=N] [--verbosity=1..3]\n"
    "Trains on the IDX files of Debian's package dataset-fashion-mnist.\n";

typedef struct arguments {
    const char *data, *output;
    int epochs, batch_size;
    int help;
} arguments;

static const char *value_of(const char *argument, const char *option)
{
    size_t length = strlen(option);
    return strncmp(argument, option, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                             : NULL;
}

/* 0: not a whole number from 1 to a million. */
static int positive(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    return *text && !*end && value > 0 && value <= 1000000 ? (int)value : 0;
}

static void parse(strata_context *ctx, int argc, char **argv, arguments *a)
{
    for (int i = 1; i < argc; i++) {
        const char *value;
        if ((value = value_of(argv[i], "--data")))
            a->data = value;
        else if ((value = value_of(argv[i], "--output")))
            a->output = value;
        else if ((value = value_of(argv[i], "--epochs")) && positive(value))
            a->epochs = positive(value);
        else if ((value = value_of(argv[i], "--batch-size")) && positive(value))
            a->batch_size = positive(value);
        else if (strcmp(argv[i], "--help") == 0)
            a->help = 1;
        else
            strata_fail(ctx, STRATA_INVALID,
                        "option '%s' is unknown or has a bad value; try --help", argv[i]);
    }
}

static strata_model *network(strata_context *ctx)
{
    strata_tensor *image = strata_input(ctx, .shape = {28, 28});
    strata_tensor *x = strata_rescaling(image, .scale = 1 / 255.0);
    x = strata_flatten(x);
    x = strata_dense(x, .units = 512, .activation = "relu");
    x = strata_dropout(x, .rate = 0.2);
    x = strata_dense(x, .units = 512, .activation = "relu");
    x = strata_dropout(x, .rate = 0.2);
    x = strata_dense(x, .units = 10, .name = "logits");
    return strata_functional(image, x, .name = "fashion_mnist");
}

static void train(strata_context *ctx, const arguments *a)
{
    strata_dataset *training =
        strata_idx_dataset(ctx, .folder = a->data, .images = "train-images-idx3-ubyte.gz",
                           .labels = "train-labels-idx1-ubyte.gz");
    strata_dataset *test =
        strata_idx_dataset(ctx, .folder = a->data, .images = "t10k-images-idx3-ubyte.gz",
                           .labels = "t10k-labels-idx1-ubyte.gz");
    if (strata_error(ctx) == STRATA_NO_INPUT && strata_rank(ctx) == 0)
        fprintf(stderr,
                "The images come with Debian's package dataset-fashion-mnist (apt-get install "
                "dataset-fashion-mnist); --data names another folder.\n");
    strata_model *model = network(ctx);
    if (model)
        strata_model_summary(model, stdout, 0);
    strata_compile(model, .optimizer = "Adam(learning_rate=0.001)",
                   .loss = "SparseCategoricalCrossentropy(from_logits=True)",
                   .metrics = {"accuracy"});
    strata_fit(model, training, .batch_size = a->batch_size, .epochs = a->epochs,
               .validation_data = test);
    if (strata_save(model, a->output) == STRATA_OK && strata_rank(ctx) == 0)
        printf("saved %s\n", a->output);
}

int main(int argc, char **argv)
{
    arguments a = {.data = "/usr/share/datasets/fashion-mnist",
                   .output = "fashion.keras",
                   .epochs = 5,
                   .batch_size = 128};
    strata_context *ctx = strata_init(MPI_COMM_WORLD, strata_options_from(&argc, &argv));
    if (!ctx)
        return strata_status_exit_code(STRATA_NO_MEMORY);
    parse(ctx, argc, argv, &a);
    if (a.help && strata_rank(ctx) == 0)
        fputs(usage, stdout);
    if (!a.help && strata_error(ctx) == STRATA_OK)
        train(ctx, &a);
    return strata_finish(&ctx);
}
