from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import Bench, ErrorKind, UpstreamError
from freellmapi.core.limits import Limits
from freellmapi.providers.classify import classify, classify_payload
from freellmapi.providers.redact import MAX_MESSAGE
from tests.providers.error_cases import NOW, Case, cases

CASES = tuple(cases())
CUSTOM = Provider(id="lab", name="Lab", base_url="http://127.0.0.1:8000/v1")
ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def seen(case: Case) -> UpstreamError:
    return classify(case.status, case.headers, case.body, case.provider, NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_body_is_what_it_is(case: Case) -> None:
    error = seen(case)
    assert error.kind is case.kind
    assert error.bench is case.bench
    assert error.retry_after == (None if case.wait is None else pytest.approx(case.wait))
    assert error.limit == case.limit
    assert error.status == case.seen_status
    assert error.message and len(error.message) <= MAX_MESSAGE
    if case.message is not None:
        assert error.message == case.message


def test_the_table_is_broad_and_its_rows_are_named_once() -> None:
    assert len(CASES) >= 150
    assert len({case.id for case in CASES}) == len(CASES)
    assert {case.kind for case in CASES} >= set(ErrorKind) - {
        ErrorKind.STREAM_BROKEN,
        ErrorKind.CLIENT_GONE,
        ErrorKind.HEDGED_OUT,
    }


def test_only_a_401_or_a_named_body_rejects_a_key() -> None:
    for status in (400, 402, 403, 404, 409, 422, 429, 500, 503):
        body = orjson.dumps({"error": {"message": "no", "code": "something_else"}})
        assert classify(status, {}, body, CUSTOM, NOW).kind is not ErrorKind.KEY_REJECTED


@pytest.mark.parametrize("digits", ["401", "402", "403", "404", "413", "429", "500", "503"])
@pytest.mark.parametrize("status", [400, 403, 422, 429, 500])
def test_digits_in_a_sentence_decide_nothing(status: int, digits: str) -> None:
    plain = classify(status, {}, b'{"error":{"message":"Used, see rule"}}', CUSTOM, NOW)
    body = orjson.dumps({"error": {"message": f"Used {digits}, see rule {digits}"}})
    assert classify(status, {}, body, CUSTOM, NOW).kind is plain.kind


def test_a_minute_that_all_models_share_benches_the_pool() -> None:
    shared = Provider(id="lab", name="Lab", base_url="", account_limits=Limits(rpm=40))
    assert classify(429, {}, b"", shared, NOW).bench is Bench.POOL


def test_a_day_that_all_models_share_benches_the_pool() -> None:
    shared = Provider(id="lab", name="Lab", base_url="", account_limits=Limits(rpd=50))
    body = b'{"error":{"message":"50 requests per day reached"}}'
    assert classify(429, {}, body, shared, NOW).bench is Bench.POOL
    assert classify(429, {}, body, CUSTOM, NOW).bench is Bench.KEY_MODEL


def test_a_failure_without_a_status_of_its_own_is_the_servers() -> None:
    error = classify_payload({"error": "it broke"}, CUSTOM)
    assert (error.kind, error.message) == (ErrorKind.SERVER_ERROR, "it broke")


def test_a_message_is_one_short_line() -> None:
    body = orjson.dumps({"error": {"message": "a\r\nb\x00\x1b[31m\u202ec " + "word " * 200}})
    message = classify(400, {}, body, CUSTOM, NOW).message
    assert message.startswith("a b[31mc word")
    assert MAX_MESSAGE - 1 <= len(message) <= MAX_MESSAGE and message.endswith("…")


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-Abc123def456Ghi789",
        "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "gsk_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5hJ7k",
        "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
        "AQ.Ab8RN6K1b2C3d4E5f6G7h8",
        "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ12345678",
        "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",
        "csk-a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0",
        "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ",
        "0123456789abcdef0123456789abcdef.aBcDeFgHiJkLmNoP",
        "0123456789abcdef0123456789abcdef:aBcDeFgHiJkLmNoPqRsTuVwXyZ0123-_abcdefgh",
        "12345678-90ab-cdef-1234-567890abcdef",
        "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcd",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "sk-ab...wxyz",
        "abcd********wxyz",
    ],
)
@pytest.mark.parametrize(
    "sentence",
    ["Incorrect API key provided: {}.", "key {} is bad", "({})", "url?key={}&a=b", "'{}'"],
)
def test_an_echoed_key_is_masked(secret: str, sentence: str) -> None:
    body = orjson.dumps({"error": {"message": sentence.format(secret)}})
    message = classify(401, {}, body, CUSTOM, NOW).message
    assert secret not in message
    assert not any(part in message for part in secret.replace("*", ".").split(".") if len(part) > 5)


@pytest.mark.parametrize("form", ["Bearer {}", "api_key={}", "API key: {}", "x-api-key: {}"])
def test_what_is_named_a_key_is_masked_whatever_it_looks_like(form: str) -> None:
    body = orjson.dumps({"error": {"message": f"Bad {form.format('zq7-short')} given"}})
    assert "zq7" not in classify(401, {}, body, CUSTOM, NOW).message


@pytest.mark.parametrize(
    "text",
    [
        "Quota GenerateRequestsPerDayPerProjectPerModel exceeded",
        "Model deepseek-ai/DeepSeek-R1-Distill-Llama-70B-instruct-fp8-fast is busy",
        "Bearer token missing",
        "please pass a valid API key.",
        "model llama-3.3-70b-versatile-preview-long-context-window not supported",
    ],
)
def test_plain_words_are_left_alone(text: str) -> None:
    body = orjson.dumps({"error": {"message": text}})
    assert classify(422, {}, body, CUSTOM, NOW).message == text


def test_a_key_cut_off_by_the_length_is_masked_all_the_same() -> None:
    secret = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789abcd"
    for lead in range(240, 300):
        body = orjson.dumps({"error": {"message": "x " * (lead // 2) + secret}})
        assert "aBcDeF" not in classify(401, {}, body, CUSTOM, NOW).message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                "error errors code message type status detail details metadata raw reasons "
                "provider_name violations quotaId quotaValue retryDelay headers choices "
                "base_resp status_code n_ctx loc msg @type".split()
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        "retry-after retry-after-ms x-ratelimit-remaining-requests x-ratelimit-reset-requests "
        "x-ratelimit-limit-req-minute cf-mitigated content-type".split()
    ),
    st.text(max_size=15),
)
PROVIDERS = st.sampled_from([case.provider for case in CASES])
STATUSES = st.integers(-1, 1000) | st.sampled_from([200, 400, 401, 403, 404, 413, 429, 500, 503])


@given(STATUSES, HEADERS, st.binary(max_size=300), PROVIDERS)
@settings(deadline=None)
def test_no_bytes_upset_it(
    status: int, headers: dict[str, str], body: bytes, provider: Provider
) -> None:
    check(classify(status, headers, body, provider, NOW))


@given(STATUSES, HEADERS, JSON, PROVIDERS)
@settings(deadline=None, max_examples=300)
def test_no_json_upsets_it(
    status: int, headers: dict[str, str], payload: object, provider: Provider
) -> None:
    check(classify_payload(payload, provider, status, headers, NOW))


def check(error: UpstreamError) -> None:
    assert isinstance(error.kind, ErrorKind)
    assert 0 < len(error.message) <= MAX_MESSAGE
    assert error.message.isprintable()
    assert error.retry_after is None or 0 <= error.retry_after <= 86_400


@given(
    st.text(ALNUM, min_size=32, max_size=64).filter(lambda s: any(c.isdigit() for c in s)),
    st.sampled_from(["", "sk-", "gsk_", "AIza", "hf_", "nvapi-", "Bearer "]),
    st.text(max_size=40),
    st.sampled_from([400, 401, 403, 429, 500]),
)
@settings(deadline=None)
def test_no_seeded_secret_comes_out(secret: str, prefix: str, noise: str, status: int) -> None:
    told = f"{noise} {prefix}{secret} {noise}"
    for body in (
        orjson.dumps({"error": {"message": told}}),
        orjson.dumps({"detail": told}),
        f"<html><title>{told}</title></html>".encode(),
        told.encode(),
    ):
        assert secret not in classify(status, {}, body, CUSTOM, NOW).message


def test_a_deep_or_huge_body_is_read_in_bounds() -> None:
    deep = b'{"error":' * 5000 + b"1" + b"}" * 5000
    lists = b"[" * 1000 + b"]" * 1000
    assert classify(500, {}, lists, CUSTOM, NOW).kind is ErrorKind.SERVER_ERROR
    wide = orjson.dumps([{"error": {"message": "so " * 300}}] * 2000)
    assert classify(500, {}, deep, CUSTOM, NOW).kind is ErrorKind.SERVER_ERROR
    assert classify(500, {}, wide, CUSTOM, NOW).message.startswith("so so")
