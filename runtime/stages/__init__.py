"""One module a kind of stage, each with `run(ctx)`, which reads committed inputs and writes into `ctx.out`."""
