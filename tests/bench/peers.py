#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time the peers on the benchmark workloads: Keras (JAX or TensorFlow backend) and PyTorch, one process or several.

    peers.py keras-jax|keras-tensorflow|torch WORKLOAD [--steps N] [--threads N] [--save model.keras]
    torchrun --nproc-per-node 2 peers.py torch WORKLOAD --threads 1          data parallel, gloo

Prints one JSON line: workload, peer, samples (or tokens) a second over the timed steps, the median of
single step times in milliseconds, the parameter count, peak resident memory in MiB, final loss.
Data are random with a fixed seed: the time does not depend on the values. Same shapes, optimizer (Adam)
and global batch for every peer. Steps are timed after 5 warm-up steps (compilation is not counted).
"""
import argparse
import json
import os
import resource
import statistics
import time

import numpy as np

# name: (input shape without batch, classes, global batch, kind)
WORKLOADS = {
    "mlp": dict(batch=128, about="784-512-512-10, relu"),
    "convnet": dict(batch=64, about="28x28x1: conv32 conv32 pool conv64 conv64 pool dense128 dense10, 3x3 same, relu"),
    "transformer": dict(batch=16, about="bytes, T=128, d=256, 4 heads, 4 pre-norm blocks, ff 1024 gelu, causal"),
    "wide": dict(batch=256, about="four dense layers 4096x4096, relu, and 10 classes"),
}


def make_data(name, batch):
    rng = np.random.default_rng(0)
    if name == "transformer":
        text = rng.integers(0, 256, (batch, 129))
        return text[:, :-1].astype("int32"), text[:, 1:].astype("int32")
    shape = {"mlp": (784,), "convnet": (28, 28, 1), "wide": (4096,)}[name]
    return rng.random((batch, *shape), dtype="float32"), rng.integers(0, 10, batch).astype("int32")


def keras_model(name):
    import keras
    from keras import layers as L

    if name == "mlp":
        return keras.Sequential([L.Input((784,)), L.Dense(512, "relu"), L.Dense(512, "relu"), L.Dense(10)], name=name)
    if name == "wide":
        return keras.Sequential([L.Input((4096,))] + [L.Dense(4096, "relu") for _ in range(4)] + [L.Dense(10)], name=name)
    if name == "convnet":
        def conv(n):
            return L.Conv2D(n, 3, padding="same", activation="relu")
        return keras.Sequential([L.Input((28, 28, 1)), conv(32), conv(32), L.MaxPooling2D(), conv(64), conv(64),
                                 L.MaxPooling2D(), L.Flatten(), L.Dense(128, "relu"), L.Dense(10)], name=name)
    if name == "transformer":
        x = inputs = L.Input((128,), dtype="int32")
        x = L.Embedding(256, 256)(x)
        for _ in range(4):
            h = L.LayerNormalization()(x)
            h = L.MultiHeadAttention(4, 64)(h, h, use_causal_mask=True)
            x = L.Add()([x, h])
            h = L.LayerNormalization()(x)
            h = L.Dense(1024, "gelu")(h)
            x = L.Add()([x, L.Dense(256)(h)])
        return keras.Model(inputs, L.Dense(256)(L.LayerNormalization()(x)), name=name)
    raise ValueError(name)


def torch_model(name):
    import torch
    from torch import nn

    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    if name == "wide":
        return nn.Sequential(*[m for _ in range(4) for m in (nn.Linear(4096, 4096), nn.ReLU())], nn.Linear(4096, 10))
    if name == "convnet":
        def conv(i, o):
            return [nn.Conv2d(i, o, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*conv(1, 32), *conv(32, 32), nn.MaxPool2d(2), *conv(32, 64), *conv(64, 64),
                             nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))
    if name == "transformer":
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.n1, self.n2 = nn.LayerNorm(256), nn.LayerNorm(256)
                self.qkv, self.o = nn.Linear(256, 768), nn.Linear(256, 256)
                self.f = nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256))

            def forward(self, x):
                b, t, d = x.shape
                q, k, v = (z.view(b, t, 4, 64).transpose(1, 2) for z in self.qkv(self.n1(x)).split(256, -1))
                h = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                x = x + self.o(h.transpose(1, 2).reshape(b, t, d))
                return x + self.f(self.n2(x))
        return nn.Sequential(nn.Embedding(256, 256), *[Block() for _ in range(4)], nn.LayerNorm(256), nn.Linear(256, 256))
    raise ValueError(name)


def run_torch(args, batch):
    import torch
    import torch.distributed as dist
    torch.set_num_threads(args.threads)
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    torch.manual_seed(0)
    model = torch_model(args.workload)
    params = sum(p.numel() for p in model.parameters())
    if world > 1:
        dist.init_process_group("gloo")
        model = torch.nn.parallel.DistributedDataParallel(model)
    if args.compile:
        model = torch.compile(model)
    opt = torch.optim.Adam(model.parameters(), foreach=True)
    x, y = make_data(args.workload, batch)
    x, y = torch.from_numpy(x[rank::world]), torch.from_numpy(y[rank::world]).long()
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)

    def step():
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
            out = model(x)
        loss = torch.nn.functional.cross_entropy(out.float().reshape(-1, out.shape[-1]), y.reshape(-1))
        loss.backward()
        opt.step()
        return loss.item()
    return step, params, rank


def run_keras(args, batch):
    os.environ["KERAS_BACKEND"] = args.peer.split("-")[1]
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen={'true' if args.threads > 1 else 'false'}")
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(args.threads)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    keras.utils.set_random_seed(0)
    if args.bf16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = keras_model(args.workload)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if args.save:
        model.save(args.save)
    x, y = make_data(args.workload, batch)
    return (lambda: float(model.train_on_batch(x, y))), model.count_params(), 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", choices=["keras-jax", "keras-tensorflow", "torch"])
    p.add_argument("workload", choices=WORKLOADS)
    p.add_argument("--steps", type=int, default=40)
    p.add_argument("--seconds", type=float, default=12, help="stop earlier after this long")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--compile", action="store_true", help="torch.compile")
    p.add_argument("--bf16", action="store_true", help="bfloat16 arithmetic: torch.autocast, mixed_bfloat16")
    p.add_argument("--save", help="write the Keras model here")
    args = p.parse_args()
    batch = WORKLOADS[args.workload]["batch"]
    step, params, rank = (run_torch if args.peer == "torch" else run_keras)(args, batch)
    for _ in range(5):
        loss = step()
    times, begin = [], time.perf_counter()
    while len(times) < args.steps and (len(times) < 5 or time.perf_counter() - begin < args.seconds):
        t = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - t)
    if rank == 0:
        print(json.dumps(dict(workload=args.workload, peer=args.peer + ("+compile" if args.compile else "") + ("+bf16" if args.bf16 else ""),
                              processes=int(os.environ.get("WORLD_SIZE", 1)), threads=args.threads,
                              samples_per_s=round(batch / min(times), 1), median_samples_per_s=round(batch / statistics.median(times), 1),
                              step_ms=round(1e3 * min(times), 3), median_ms=round(1e3 * statistics.median(times), 3),
                              steps=len(times), parameters=params, loss=round(loss, 5),
                              rss_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)))


if __name__ == "__main__":
    main()
