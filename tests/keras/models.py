# Models that are exchanged: names of those that exchange.c makes, and makers of those that Keras makes.
# SPDX-License-Identifier: Apache-2.0
from keras import Input, Model, Sequential, layers, losses, optimizers, regularizers

OURS = ["mlp", "convnet", "branches", "embedding", "transformer"]

# Each maker returns a model and the options of `strata train` that go with it.


def sequential_sgd():
    model = Sequential([
        Input((12, 12, 2), name="pixels"),
        layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", kernel_initializer="he_uniform"),
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(3, dilation_rate=2, use_bias=False),
        layers.LayerNormalization(epsilon=1e-4),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.Flatten(),
        layers.Dense(6, name="logits"),
    ])
    model.compile(optimizer=optimizers.SGD(0.05, momentum=0.9, nesterov=True, global_clipnorm=1.0),
                  loss=losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=["accuracy"])
    return model, []


def sequential_adam():
    model = Sequential([
        Input((9,)),
        layers.Rescaling(0.5, offset=0.1),
        layers.Dense(16, activation="swish", kernel_regularizer=regularizers.L1L2(1e-4, 1e-3), name="hidden"),
        layers.Dense(8, activation="leaky_relu", kernel_constraint="unit_norm"),
        layers.Dense(5, activation="softmax", name="head"),
    ], name="stack")
    schedule = optimizers.schedules.CosineDecay(1e-3, decay_steps=6, alpha=0.1, warmup_steps=2, warmup_target=0.01)
    model.compile(optimizer=optimizers.Adam(schedule, amsgrad=True),
                  loss="categorical_crossentropy", metrics=["categorical_accuracy"], weighted_metrics=["mae"])
    return model, ["--mesh", "data=1,rows=1,cols=2"]


def functional_adamw():
    words = Input((6,), dtype="int32", name="words")
    numbers = Input((4,), name="numbers")
    x = layers.Embedding(20, 8, embeddings_initializer="lecun_normal")(words)
    x = layers.Flatten()(x)
    y = layers.Dense(48, activation="tanh", name="widen")(numbers)
    x = layers.Multiply()([x, y])
    x = layers.Concatenate()([x, numbers])
    model = Model([words, numbers], layers.Dense(3, activation="sigmoid", name="head")(x), name="joined")
    schedule = optimizers.schedules.ExponentialDecay(0.01, decay_steps=3, decay_rate=0.8, staircase=True)
    optimizer = optimizers.AdamW(schedule, weight_decay=0.02, clipvalue=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer=optimizer, loss=losses.BinaryCrossentropy(label_smoothing=0.1), metrics=["binary_accuracy"])
    return model, []


def functional_rmsprop():
    left, right = Input((5,), name="left"), Input((5,), name="right")
    shared = layers.Dense(7, activation="selu", name="shared")
    a, b = shared(left), shared(right)
    first = layers.Dense(3, activation="softmax", name="first")(layers.Add()([a, b]))
    second = layers.Dense(4)(layers.Concatenate()([a, b]))
    second = layers.Reshape((2, 2), name="second")(second)
    model = Model({"left": left, "right": right}, [first, second])
    model.compile(optimizer=optimizers.RMSprop(0.005, rho=0.8, momentum=0.3),
                  loss=["categorical_crossentropy", "mean_squared_error"], loss_weights=[1.0, 0.3],
                  metrics=[["categorical_accuracy"], ["mae"]])
    return model, ["--mesh", "data=1,rows=2,cols=1"]


def nested():
    block = Sequential([Input((8,)), layers.Dense(8, activation="relu"), layers.Dense(8)], name="block")
    x = inputs = Input((8,), name="inputs")
    x = layers.Add()([x, block(x)])
    x = layers.Add()([x, block(x)])
    model = Model(inputs, layers.Dense(2, name="head")(x), name="residual")
    model.compile(optimizer=optimizers.SGD(0.1, gradient_accumulation_steps=2), loss="mae")
    return model, []


def decoder():
    """Self-attention under the masks of an Embedding and of causality, on two columns that three heads do not divide among."""
    words = Input((7,), dtype="int32", name="words")
    x = layers.Embedding(20, 12, mask_zero=True)(words)
    y = layers.MultiHeadAttention(3, 4)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    y = layers.EinsumDense("abc,cd->abd", output_shape=(7, 24), bias_axes="d", activation="gelu")(x)
    y = layers.EinsumDense("...x,xy->...y", output_shape=12, kernel_constraint="max_norm")(y)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    model = Model(words, layers.Dense(4, activation="softmax", name="head")(layers.Flatten()(x)), name="decoder")
    model.compile(optimizer=optimizers.Adam(0.002), loss="categorical_crossentropy", metrics=["categorical_accuracy"])
    return model, ["--mesh", "data=1,rows=1,cols=2"]


def cross_attention():
    """
    Tensors as arguments of calls, by name and by position; axes that are not the default; scores as an output. Keras declares scores
    as (T, T), so there are as many keys as queries, and its fused kernel wants key_dim and value_dim equal, but scores go without it.
    """
    x, memory = Input((5, 6), name="x"), Input((5, 3), name="memory")
    mask, padding = Input((5, 5), dtype="bool", name="mask"), Input((5,), dtype="bool", name="padding")
    y, scores = layers.MultiHeadAttention(2, 3, value_dim=4, output_shape=6, use_bias=False, kernel_initializer="he_normal")(
        x, value=memory, attention_mask=mask, return_attention_scores=True)
    keys = layers.Dense(7, activation="relu", name="keys")(x)
    y = layers.GroupQueryAttention(4, 4, 2, bias_regularizer="l2")(y, x, keys, use_causal_mask=True)
    y = layers.GroupQueryAttention(3, 2, 1, sliding_window=3)(key=keys, query=y, value=x, value_mask=padding, attention_mask=mask)
    y = layers.Reshape((5, 2, 3))(y)
    y = layers.MultiHeadAttention(2, 2, attention_axes=[2], output_shape=(2, 2))(query=y, value=y)
    outputs = [layers.Dense(3, name="head")(layers.Flatten()(y)), layers.Flatten(name="scores")(scores)]
    model = Model([x, memory, mask, padding], outputs, name="cross")
    model.compile(optimizer=optimizers.SGD(0.1, momentum=0.5), loss=["mse", "mae"])
    return model, ["--mesh", "data=1,rows=2,cols=1"]


def uncompiled():
    return Sequential([Input((3, 4)), layers.Activation("mish"), layers.Dense(2, bias_initializer="ones")]), []


THEIRS = {maker.__name__: maker for maker in
          [sequential_sgd, sequential_adam, functional_adamw, functional_rmsprop, nested, decoder, cross_attention, uncompiled]}
