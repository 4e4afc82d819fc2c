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
