"""The stages: one module a kind, with `run(ctx)`, which reads committed inputs and writes into `ctx.out`."""
