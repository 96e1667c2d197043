/* What layers with sliding windows share: data_format, and the window over an input. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/sliding.h"

#include <string.h>

#include "base/memory.h"

strata_status strata__set_data_format(strata_layer *layer)
{
    char **member = strata__config_member(layer, "data_format");
    if (!*member)
        *member = strata__strdup(layer->ctx, "channels_last");
    return *member ? STRATA_OK : STRATA_NO_MEMORY;
}

bool strata__is_channels_first(const char *data_format)
{
    return strcmp(data_format, "channels_first") == 0;
}

static int channel_axis(int rank, const char *data_format)
{
    return strata__is_channels_first(data_format) ? 1 : rank + 1;
}

bool strata__channels_of(strata_layer *layer, const strata_shape *input, int rank,
                         const char *data_format, int64_t *channels)
{
    *channels = input->dims[channel_axis(rank, data_format)];
    char text[STRATA__SHAPE_TEXT];
    if (*channels == STRATA_NONE)
        strata__fail(layer->ctx, STRATA_INVALID,
                     "layer '%s': The channel dimension of the inputs should be defined. The "
                     "input_shape received is "
                     "%s",
                     layer->name, strata__shape_text(input, text));
    return *channels != STRATA_NONE;
}

void strata__require_channels(strata_layer *layer, int rank, const char *data_format,
                              int64_t channels)
{
    strata_input_spec spec = {.ndim = -1, .min_ndim = rank + 2, .max_ndim = -1, .shape.rank = -1};
    if (channels != STRATA_NONE) {
        spec.axis_count = 1;
        spec.axes[0].axis = channel_axis(rank, data_format);
        spec.axes[0].size = channels;
    }
    strata_layer_set_input_spec(layer, 0, &spec);
}

static void refuse(strata_layer *layer, const strata__sliding *s, const strata_tensor *x,
                   int64_t dilation)
{
    char input[STRATA__SHAPE_TEXT], window[STRATA__SHAPE_TEXT];
    strata_shape size = {.rank = s->rank};
    memcpy(size.dims, s->size, (size_t)s->rank * sizeof *s->size);
    strata__fail(
        layer->ctx, STRATA_INVALID,
        "layer '%s': Computed output size would be zero or negative. Received `inputs shape=%s`, "
        "window %s, dilation %lld, padding '%s'",
        layer->name, strata__shape_text(&x->shape, input), strata__shape_text(&size, window),
        (long long)dilation, s->padding);
}

bool strata__sliding_window(strata_layer *layer, const strata__sliding *s, const strata_tensor *x,
                            strata__window *window)
{
    *window = (strata__window){.rank = s->rank,
                               .channels_first = strata__is_channels_first(s->data_format)};
    int first = window->channels_first ? 2 : 1;
    for (int i = 0; i < s->rank; i++) {
        window->size[i] = s->size[i];
        window->strides[i] = s->strides[i];
        window->dilation[i] = s->dilation ? s->dilation[i] : 1;
        int64_t n = x->shape.dims[first + i], places;
        if (n != STRATA_NONE &&
            !strata__window_axis(n, window->size[i], window->strides[i], window->dilation[i],
                                 s->padding, &places, &window->before[i], &window->after[i])) {
            refuse(layer, s, x, window->dilation[i]);
            return false;
        }
    }
    return true;
}
