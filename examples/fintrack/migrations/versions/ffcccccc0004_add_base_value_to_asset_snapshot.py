"""add base_value to asset snapshot

Revision ID: ffcccccc0004
Revises: ffcccccc0003
Create Date: 2025-07-25 09:45:00.000000

"""
from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision = 'ffcccccc0004'
down_revision = 'ffcccccc0003'
branch_labels = None
depends_on = None

currency_code = postgresql.DOMAIN('currency_code', sa.String(10), create_type=False)


def upgrade():
    op.add_column('asset_snapshots', sa.Column('base_value', sa.Numeric(38, 18), comment='本位币价值'))
    op.add_column('asset_snapshots', sa.Column('base_currency', currency_code,
                                               server_default=sa.text("'CNY'"), nullable=False))
    op.execute("UPDATE asset_snapshots SET base_value = balance_cny WHERE base_value IS NULL")
    op.create_index('idx_asset_snapshots_base', 'asset_snapshots', ['snapshot_at'],
                    postgresql_include=['base_value'], postgresql_where=sa.text('base_value IS NOT NULL'))

    # New columns of a view go to its end.
    op.execute("""
        CREATE OR REPLACE VIEW v_latest_asset_snapshots AS
        SELECT DISTINCT ON (platform, asset_code, currency)
               id, platform, asset_type, asset_code, currency, balance, snapshot_at,
               base_value, base_currency
          FROM asset_snapshots
         ORDER BY platform, asset_code, currency, snapshot_at DESC, id DESC
    """)
    op.execute("""
        CREATE MATERIALIZED VIEW mv_platform_value AS
        SELECT platform, base_currency, count(*) AS assets, sum(base_value) AS total_base_value
          FROM v_latest_asset_snapshots
         GROUP BY platform, base_currency
    """)


def downgrade():
    op.execute("DROP MATERIALIZED VIEW mv_platform_value")
    op.execute("DROP VIEW v_latest_asset_snapshots")
    op.execute("""
        CREATE VIEW v_latest_asset_snapshots AS
        SELECT DISTINCT ON (platform, asset_code, currency)
               id, platform, asset_type, asset_code, currency, balance, snapshot_at
          FROM asset_snapshots
         ORDER BY platform, asset_code, currency, snapshot_at DESC, id DESC
    """)
    op.execute("COMMENT ON VIEW v_latest_asset_snapshots IS '每个资产的最新快照'")
    op.drop_index('idx_asset_snapshots_base', table_name='asset_snapshots')
    op.drop_column('asset_snapshots', 'base_currency')
    op.drop_column('asset_snapshots', 'base_value')
