"""The tables as queries see them; ``migrations.py`` is what makes them.

Columns named ``_at`` (and ``at``) hold UTC epoch seconds.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

vault_canary = Table(
    "vault_canary",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

provider_keys = Table(
    "provider_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("mask", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_reason", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("checked_at", Double),
    Column("last_used_at", Double),
    Column("extra", Text, nullable=False),
)

client_tokens = Table(
    "client_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("sealed", LargeBinary),
    Column("mask", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("last_used_at", Double),
    Column("revoked_at", Double),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

chain = Table(
    "chain",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("ref", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
)

custom_providers = Table(
    "custom_providers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("definition", Text, nullable=False),
)

#: What was taken over from a provider's own model list.
discovered = Table(
    "discovered",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

#: What else the owner has set, see ``config.py``: a document by its name.
documents = Table(
    "documents",
    metadata,
    Column("name", Text, primary_key=True),
    Column("document", Text, nullable=False),
)

#: Who does what is done once, see ``lease.py``.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("beat", BigInteger, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("token_id", BigInteger),
    Column("model", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text),
    Column("provider", Text),
    Column("served_model", Text),
    Column("key_id", Text),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("exact", Boolean, nullable=False),
    Column("duration", Double, nullable=False),
    Column("first_token", Double),
)

attempts = Table(
    "attempts",
    metadata,
    Column("log_id", BigInteger, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("duration", Double, nullable=False),
    Column("error", Text),
    Column("status", Integer),
    Column("message", Text, nullable=False),
    Column("spent", Boolean, nullable=False),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("exact", Boolean),
    Column("reasoning_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
)

#: Sums of an hour and, folded from those, of a day (UTC): ``span`` is its length in seconds,
#: ``start`` when it begins. Nobody served: empty names. ``counted`` are the calls that the
#: provider counts.
rollups = Table(
    "rollups",
    metadata,
    Column("span", Integer, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("failed_attempts", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("duration", Double, nullable=False),
    Column("counted", BigInteger, nullable=False),
    Column("counted_tokens", BigInteger, nullable=False),
)

#: Sums of an hour by one thing alone, few enough rows to draw a quarter from: ``dimension``
#: says what ``name`` names. ``client``: the client token's id (empty: none); ``error``: how
#: requests failed; ``fault``: how calls did; ``provider``: who served, folded from ``rollups``.
tallies = Table(
    "tallies",
    metadata,
    Column("dimension", Text, primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
)

#: Packed histograms. ``scope``: ``model`` for each, by hours; folded from those by days, and
#: ``all`` of them together by hours, under empty names and side by side to be read at once.
latencies = Table(
    "latencies",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("span", Integer, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("durations", LargeBinary, nullable=False),
    Column("first_tokens", LargeBinary, nullable=False),
)

#: Averages, each with how many calls it stands for.
measurements = Table(
    "measurements",
    metadata,
    Column("ref", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("success", Double, nullable=False),
    Column("success_weight", Double, nullable=False),
    Column("first_token", Double, nullable=False),
    Column("first_token_weight", Double, nullable=False),
    Column("speed", Double, nullable=False),
    Column("speed_weight", Double, nullable=False),
)
