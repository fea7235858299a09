"""What must not leave a process does not; what only looks a little like it does."""

import time

import pytest

from c2f_spec.masking import mask_secrets, secret_values

CANARY = "C2F-canary-0123456789abcdefXYZ"
LEAKS = (
    "key AKIAABCDEFGHIJKLMNOP was refused",
    f"Authorization: Bearer {CANARY}",
    f"authorization: Basic {CANARY}==",
    f"GET https://s3.example/b/k?X-Amz-Signature={CANARY}&x=1",
    f"mysql://root:{CANARY}@db.example/mlflow",
    f"AWS_SECRET_ACCESS_KEY={CANARY}",
    f'{{"password": "{CANARY}", "user": "me"}}',
    f"HF_TOKEN={CANARY}",
    f"hf_{CANARY.replace('-', '')}",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIB" + CANARY + "\n-----END RSA PRIVATE KEY-----",
    f"https://open.feishu.cn/hook?token={CANARY}",
)


@pytest.mark.parametrize("text", LEAKS)
def test_shapes_of_credentials_are_hidden(text):
    assert "***" in mask_secrets(text)
    assert CANARY not in mask_secrets(text)
    assert "AKIAABCDEFGHIJKLMNOP" not in mask_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        "step 12/400, loss 0.53, tokens: 4,096",
        "committed 3 files in 12.5 s, blake3 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "max_new_tokens: 240000",
        "tokenizer: Qwen/Qwen2.5-Omni-7B, eos_token: <|im_end|>, pad_token='<|endoftext|>'",
        "https://docs.example/page?page=2",
        "C2F201 grpo.hint.trigger",
    ],
)
def test_plain_text_stays(text):
    assert mask_secrets(text) == text


def test_values_of_telling_variables_are_hidden_wherever_they_stand():
    values = secret_values(
        {"C2F_NOTIFY_URL": CANARY, "PATH": "/usr/bin", "MY_TOKEN": "abc", "DB_PASSWORD": "hunter22"}
    )
    assert set(values) == {CANARY, "hunter22"}
    assert mask_secrets(f"x{CANARY}y hunter22 /usr/bin abc", values) == "x***y *** /usr/bin abc"


def test_a_megabyte_of_log_has_no_pattern_that_backtracks():
    text = "epoch 1 loss 0.5 key=value a://b c:d e@f " * 25_000
    begin = time.process_time()  # of this process alone, whatever else the machine does
    mask_secrets(text)
    assert time.process_time() - begin < 20, "backtracking takes minutes"
