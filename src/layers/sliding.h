/* What layers with sliding windows share: data_format, and the window over an input. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STRATA_LAYERS_SLIDING_H
#define STRATA_LAYERS_SLIDING_H

#include "layers/layer.h"

/* Rows of the field tables of convolutions and of pooling. */
#define STRATA__KERNEL_FIELDS(config)                                                              \
    STRATA_FIELD(config, kernel_size, .required = true, .repeat = true, .min = 1,                  \
                 .max = INT32_MAX, .help = "cells of the window"),                                 \
        STRATA_FIELD(config, strides, .repeat = true, .fill = 1, .min = 1, .max = INT32_MAX,       \
                     .help = "cells between windows"),                                             \
        STRATA__FORMAT_FIELDS(config),                                                             \
        STRATA_FIELD(config, dilation_rate, .repeat = true, .fill = 1, .min = 1, .max = INT32_MAX, \
                     .help = "distance between the window's cells")
#define STRATA__POOL_FIELDS(config)                                                                \
    STRATA_FIELD(config, pool_size, .repeat = true, .fill = 2, .min = 1, .max = INT32_MAX,         \
                 .help = "cells of the window"),                                                   \
        STRATA_FIELD(config, strides, .repeat = true, .fill_is_none = true, .min = 1,              \
                     .max = INT32_MAX, .help = "cells between windows; null: as pool_size"),       \
        STRATA__FORMAT_FIELDS(config)
#define STRATA__FORMAT_FIELDS(config)                                                              \
    STRATA_FIELD(config, padding, .choices = "valid|same",                                         \
                 .help = "whether windows reach over the edge"),                                   \
        STRATA_FIELD(config, data_format, .choices = "channels_last|channels_first",               \
                     .help = "order of the axes; null: channels_last")

/* Arguments as the configuration has them. */
typedef struct strata__sliding {
    int rank;
    const int64_t *size, *strides, *dilation; /* [rank]; dilation NULL: 1 */
    const char *padding, *data_format;
} strata__sliding;

/* data_format that was not given becomes "channels_last" in the configuration, as Keras writes it.
 */
strata_status strata__set_data_format(strata_layer *layer);

bool strata__is_channels_first(const char *data_format);

/* Channels of an input with `rank` spatial axes. False and an error when their number is not known.
 */
bool strata__channels_of(strata_layer *layer, const strata_shape *input, int rank,
                         const char *data_format, int64_t *channels);

/* Input spec of a convolution: enough axes, and so many channels; STRATA_NONE: not known yet. */
void strata__require_channels(strata_layer *layer, int rank, const char *data_format,
                              int64_t channels);

/* The window over x, with its padding. Unknown sizes are not padded. False and an error: there is
 * no place for it. */
bool strata__sliding_window(strata_layer *layer, const strata__sliding *sliding,
                            const strata_tensor *x, strata__window *window);

#endif
