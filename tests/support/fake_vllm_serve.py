"""What stands in for `vllm`: takes the command line of `vllm serve` and answers at once, a while after its start.

Options are those of the real one that we use, and an unknown one ends it, as argparse does there. Environment variables
say how it fails: FAKE_VLLM=dies, or seconds until it answers.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path


def main(argv):
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    serve = parser.add_subparsers(required=True).add_parser("serve", allow_abbrev=False)
    serve.add_argument("model_tag")
    serve.add_argument("--served-model-name", required=True)
    serve.add_argument("--tensor-parallel-size", type=int)
    serve.add_argument("--gpu-memory-utilization", type=float)
    serve.add_argument("--limit-mm-per-prompt", type=json.loads)
    serve.add_argument("--media-io-kwargs", type=json.loads)
    serve.add_argument("--host", required=True)
    serve.add_argument("--port", type=int, required=True)
    args = parser.parse_args(argv)
    assert (Path(args.model_tag) / "config.json").is_file()
    assert args.host == "127.0.0.1"
    how = os.environ.get("FAKE_VLLM", "0.2")
    if how == "dies":
        sys.exit("CUDA out of memory")
    Path(os.environ["FAKE_VLLM_NOTES"]).write_text(json.dumps({"pid": os.getpid(), **vars(args)}))
    time.sleep(float(how))

    from tests.support.fake_endpoint import Fake, serving

    def answer(body):
        from tests.support.distil_world import canonical

        assert body["model"] == args.served_model_name
        return canonical(body)

    with serving(Fake(answer), args.port):
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1:])
