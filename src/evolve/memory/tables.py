"""What do the rows look like? The tables of the newest schema version, as queries see them.

They are created and changed only by `revisions`; a test holds the two equal. Values are TEXT, INTEGER and DOUBLE PRECISION only; JSON is
canonical text; times are Unix seconds. Every `id` grows in the order of commits.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, MetaData, Table, Text, UniqueConstraint
from sqlalchemy import Integer as SQLiteInteger

metadata = MetaData()
# SQLite takes only its INTEGER, which has 64 bits, for an id of its own.
Integer = BigInteger().with_variant(SQLiteInteger, "sqlite")


def _text(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable, primary_key=primary_key)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True)


schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", Float, nullable=False),
    _text("code_version"),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    _text("service"),
    _text("request_id"),
    _text("request_type"),
    _text("asked_by"),
    _text("inputs"),
    _text("outcome"),
    _text("status"),
    _text("error_code", nullable=True),
    _text("data_hash", nullable=True),
    _text("code_version"),
    Column("seed", Integer, nullable=True),
    _text("parent", nullable=True),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float, nullable=False),
    UniqueConstraint("service", "request_id"),
)

decision_symbols = Table(
    "decision_symbols",
    metadata,
    Column("decision_id", Integer, primary_key=True),
    _text("symbol", primary_key=True),
)

models = Table(
    "models",
    metadata,
    _id(),
    _text("model_id"),
    _text("recipe_hash"),
    _text("data_fingerprint"),
    _text("code_version"),
    _text("symbol"),
    _text("timeframe"),
    _text("model_type"),
    _text("card"),
    _text("weights_sha256"),
    _text("out_of_sample_sha256"),
    _text("request_id"),
    Column("deleted_at", Float, nullable=True),
    _text("deleted_by", nullable=True),
    UniqueConstraint("model_id"),
    UniqueConstraint("request_id"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _id(),
    _text("request_id"),
    _text("model_id"),
    _text("symbol"),
    _text("timeframe"),
    _text("evaluation"),
    UniqueConstraint("request_id", "model_id"),
)

answers = Table(
    "answers",
    metadata,
    _id(),
    _text("answer_id"),
    _text("request_id"),
    _text("question"),
    _text("document"),
    Column("trial_position", Integer, nullable=False),
    Column("answered_at", Float, nullable=False),
    UniqueConstraint("answer_id"),
)

aliases = Table(
    "aliases",
    metadata,
    _id(),
    _text("symbol"),
    _text("timeframe"),
    _text("alias"),
    _text("model_id", nullable=True),
    _text("previous", nullable=True),
    _text("reason"),
    _text("request_id"),
    Column("moved_at", Float, nullable=False),
    UniqueConstraint("request_id"),
)

trials = Table(
    "trials",
    metadata,
    _id(),
    _text("symbol"),
    _text("recipe_hash"),
    _text("data_fingerprint"),
    _text("request_id"),
    Column("sharpe_per_bar", Float, nullable=True),
    UniqueConstraint("symbol", "recipe_hash", "data_fingerprint"),
)

fences = Table("fences", metadata, _text("request", primary_key=True), _text("token"))

library = Table(
    "library",
    metadata,
    _id(),
    _text("item"),
    _text("kind"),
    _text("document"),
    Column("first_seen", Float, nullable=False),
    Column("fetched_at", Float, nullable=False),
    UniqueConstraint("item"),
)

research_log = Table(
    "research_log",
    metadata,
    _id(),
    _text("entry_id"),
    _text("request_id"),
    Column("at", Float, nullable=False),
    _text("kind"),
    _text("title"),
    _text("document"),
    UniqueConstraint("entry_id"),
    UniqueConstraint("request_id"),
)

research_tags = Table("research_tags", metadata, _text("entry_id", primary_key=True), _text("tag", primary_key=True))
research_links = Table(
    "research_links", metadata, _text("entry_id", primary_key=True), _text("target", primary_key=True)
)
research_notes = Table(
    "research_notes",
    metadata,
    _id(),
    _text("entry_id"),
    _text("request_id"),
    _text("note"),
    UniqueConstraint("request_id"),
)

studies = Table(
    "studies",
    metadata,
    _id(),
    _text("study_id"),
    _text("request_id"),
    _text("model_type"),
    _text("symbol"),
    _text("timeframe"),
    _text("plan"),
    _text("warm"),
    Column("wanted", Integer, nullable=False),
    Column("ends_at", Integer, nullable=True),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("study_id"),
)

study_trials = Table(
    "study_trials",
    metadata,
    _id(),
    _text("study_id"),
    Column("number", Integer, nullable=False),
    _text("state"),
    _text("worker"),
    Column("runs", Integer, nullable=False),
    _text("params"),
    Column("score", Float, nullable=True),
    Column("worth", Float, nullable=True),
    _text("folds"),
    _text("losses"),
    _text("error", nullable=True),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float, nullable=True),
    UniqueConstraint("study_id", "number"),
)

tunings = Table(
    "tunings",
    metadata,
    _id(),
    _text("study_id"),
    _text("request_id"),
    _text("model_type"),
    _text("symbol"),
    _text("timeframe"),
    _text("dataset_size"),
    _text("verdict"),
    _text("card"),
    Column("finished_at", Float, nullable=False),
    UniqueConstraint("request_id"),
)

watches = Table(
    "watches",
    metadata,
    _text("symbol", primary_key=True),
    _text("timeframe", primary_key=True),
    Column("simulate", Integer, nullable=False),
    _text("cron"),
    _text("timezone"),
    Column("max_age_bars", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("claimed", Float, nullable=False),
    Column("claimed_at", Float, nullable=False),
    Column("done", Float, nullable=False),
    _text("result"),
)

leaders = Table(
    "leaders",
    metadata,
    _text("role", primary_key=True),
    _text("holder"),
    Column("term", Integer, nullable=False),
    Column("until", Float, nullable=False),
)

alert_rules = Table(
    "alert_rules",
    metadata,
    _text("name", primary_key=True),
    _text("document"),
    Column("read_to", Integer, nullable=False),
)

alert_states = Table(
    "alert_states",
    metadata,
    _text("rule", primary_key=True),
    _text("subject", primary_key=True),
    _text("level"),
    _text("candidate"),
    Column("seen", Integer, nullable=False),
    Column("changes", Integer, nullable=False),
)

alert_outbox = Table(
    "alert_outbox",
    metadata,
    _id(),
    _text("alert_id"),
    _text("rule"),
    _text("subject"),
    _text("document"),
    _text("state"),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("due", Float, nullable=False),
    Column("claimed_at", Float, nullable=False),
    Column("sent_at", Float, nullable=False),
    _text("error"),
    UniqueConstraint("alert_id"),
)

sweep_scores = Table(
    "sweep_scores",
    metadata,
    _text("score_id", primary_key=True),
    _text("symbol"),
    _text("timeframe"),
    _text("model_type"),
    _text("document"),
    Column("finished_at", Float, nullable=False),
)
