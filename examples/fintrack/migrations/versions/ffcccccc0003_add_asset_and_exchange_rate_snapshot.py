"""add asset and exchange rate snapshot

Revision ID: ffcccccc0003
Revises: ffcccccc0002
Create Date: 2025-07-24 18:30:00.000000

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = 'ffcccccc0003'
down_revision: Union[str, None] = 'ffcccccc0002'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None

currency_code = postgresql.DOMAIN('currency_code', sa.String(10), create_type=False)
asset_class = postgresql.ENUM(name='asset_class', create_type=False)


def upgrade() -> None:
    op.create_table(
        'asset_snapshots',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column('platform', sa.String(50), nullable=False),
        sa.Column('asset_type', asset_class, nullable=False),
        sa.Column('asset_code', sa.String(50), nullable=False),
        sa.Column('asset_name', sa.String(200)),
        sa.Column('currency', currency_code, nullable=False),
        sa.Column('balance', sa.Numeric(38, 18), nullable=False),
        sa.Column('balance_cny', sa.Numeric()),
        sa.Column('balance_usd', sa.Numeric()),
        sa.Column('extra', postgresql.JSONB()),
        sa.Column('snapshot_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='asset_snapshots_pkey'),
        comment='资产快照',
    )
    op.create_index('idx_asset_snapshots_asset', 'asset_snapshots',
                    ['platform', 'asset_code', sa.text('snapshot_at DESC')])

    op.create_table(
        'exchange_rate_snapshots',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column('from_currency', currency_code, nullable=False),
        sa.Column('to_currency', currency_code, nullable=False),
        sa.Column('rate', sa.Numeric(), nullable=False),
        sa.Column('snapshot_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('source', sa.String(40)),
        sa.PrimaryKeyConstraint('id', name='exchange_rate_snapshots_pkey'),
        sa.UniqueConstraint('from_currency', 'to_currency', 'snapshot_at', name='uq_exchange_rate_snapshots'),
        comment='汇率快照',
    )

    # The default partition may hold rows of 2026 already: set them aside.
    op.execute("""
        CREATE TEMPORARY TABLE rates_2026 ON COMMIT DROP AS
            SELECT * FROM exchange_rates_default WHERE rate_date >= '2026-01-01' AND rate_date < '2027-01-01'
    """)
    op.execute("DELETE FROM exchange_rates_default WHERE rate_date >= '2026-01-01' AND rate_date < '2027-01-01'")
    op.execute("""
        CREATE TABLE exchange_rates_2026 PARTITION OF exchange_rates
            FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
    """)
    op.execute("INSERT INTO exchange_rates SELECT * FROM rates_2026")

    # Belongs to nothing at all.
    op.execute("CREATE SEQUENCE report_no_seq AS integer START WITH 500 MINVALUE 1 MAXVALUE 999999 CACHE 5 CYCLE")

    op.execute("""
        CREATE VIEW v_latest_asset_snapshots AS
        SELECT DISTINCT ON (platform, asset_code, currency)
               id, platform, asset_type, asset_code, currency, balance, snapshot_at
          FROM asset_snapshots
         ORDER BY platform, asset_code, currency, snapshot_at DESC, id DESC
    """)
    op.execute("COMMENT ON VIEW v_latest_asset_snapshots IS '每个资产的最新快照'")

    op.execute("""
        CREATE MATERIALIZED VIEW mv_monthly_operations AS
        SELECT date_trunc('month', operation_date AT TIME ZONE 'UTC')::date AS month,
               platform,
               operation_type,
               currency,
               count(*) AS operations,
               sum(amount) AS total_amount,
               sum(fee) AS total_fee
          FROM user_operations
         WHERE status <> 'cancelled'
         GROUP BY 1, 2, 3, 4
    """)
    op.execute("COMMENT ON MATERIALIZED VIEW mv_monthly_operations IS '月度操作汇总 (UTC)'")
    op.execute("""
        CREATE UNIQUE INDEX uq_mv_monthly_operations ON mv_monthly_operations
            (month, platform, operation_type, currency)
    """)


def downgrade() -> None:
    op.execute("DROP MATERIALIZED VIEW mv_monthly_operations")
    op.execute("DROP VIEW v_latest_asset_snapshots")
    op.execute("DROP SEQUENCE report_no_seq")
    # The rows of 2026 go back to the default partition.
    op.execute("ALTER TABLE exchange_rates DETACH PARTITION exchange_rates_2026")
    op.execute("INSERT INTO exchange_rates SELECT * FROM exchange_rates_2026")
    op.drop_table('exchange_rates_2026')
    op.drop_table('exchange_rate_snapshots')
    op.drop_table('asset_snapshots')
