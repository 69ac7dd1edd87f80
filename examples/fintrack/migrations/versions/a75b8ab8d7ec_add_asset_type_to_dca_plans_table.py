"""add asset_type to dca_plans table

The first revision: it also creates the base tables of the application.

Revision ID: a75b8ab8d7ec
Revises:
Create Date: 2025-06-28 10:02:11.482013

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = 'a75b8ab8d7ec'
down_revision: Union[str, None] = None
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None

currency_code = postgresql.DOMAIN('currency_code', sa.String(10), create_type=False)
asset_class = postgresql.ENUM(name='asset_class', create_type=False)


def upgrade() -> None:
    # --- types -----------------------------------------------------------
    op.execute("""
        CREATE DOMAIN currency_code AS varchar(10)
            CONSTRAINT currency_code_format CHECK (VALUE ~ '^[A-Z][A-Z0-9]{2,9}$')
    """)
    op.execute("COMMENT ON DOMAIN currency_code IS 'ISO 4217 code or crypto ticker, upper case'")
    op.execute("CREATE TYPE asset_class AS ENUM ('fund', 'stock', 'etf', 'crypto', 'cash')")
    op.execute("CREATE TYPE operation_type AS ENUM ('buy', 'sell', 'dividend', 'transfer')")
    op.execute("COMMENT ON TYPE operation_type IS '操作类型'")
    op.execute("CREATE TYPE operation_status AS ENUM ('pending', 'confirmed', 'cancelled')")

    # --- touch updated_at ------------------------------------------------
    op.execute("""
        CREATE FUNCTION set_updated_at() RETURNS trigger
            LANGUAGE plpgsql
            AS $fn$
BEGIN
    -- A caller that sets updated_at itself (an import) is obeyed.
    IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END;
$fn$
    """)
    op.execute("COMMENT ON FUNCTION set_updated_at() IS 'BEFORE UPDATE: updated_at := now()'")

    # --- fund_info -------------------------------------------------------
    op.create_table(
        'fund_info',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('fund_code', sa.String(20), nullable=False, comment='基金代码, leading zeros matter'),
        sa.Column('fund_name', sa.String(200), nullable=False, comment='基金名称'),
        sa.Column('fund_type', sa.String(40)),
        sa.Column('management_fee', sa.Numeric(6, 4)),
        sa.Column('purchase_fee', sa.Numeric(6, 4)),
        sa.Column('risk_level', sa.SmallInteger()),
        sa.Column('tags', postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column('profile', postgresql.JSONB()),
        sa.Column('established_on', sa.Date()),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='fund_info_pkey'),
        sa.UniqueConstraint('fund_code', name='uq_fund_info_fund_code'),
        sa.CheckConstraint('risk_level BETWEEN 1 AND 5', name='ck_fund_info_risk_level'),
        comment='基金基本信息',
    )
    op.create_index('idx_fund_info_name_lower', 'fund_info', [sa.text('lower(fund_name::text)')])
    op.create_index('idx_fund_info_profile', 'fund_info', ['profile'], postgresql_using='gin',
                    postgresql_ops={'profile': 'jsonb_path_ops'})

    # --- user_operations -------------------------------------------------
    op.execute("""
        CREATE TABLE user_operations (
            id              bigserial,
            operation_date  timestamptz NOT NULL,
            platform        varchar(50) NOT NULL,
            asset_type      asset_class NOT NULL,
            operation_type  operation_type NOT NULL,
            asset_code      varchar(50) NOT NULL,
            asset_name      varchar(200),
            currency        currency_code NOT NULL DEFAULT 'CNY',
            amount          numeric(38,18) NOT NULL,
            quantity        numeric(38,18),
            price           numeric,
            fee             numeric(20,8) NOT NULL DEFAULT 0,
            net_amount      numeric GENERATED ALWAYS AS (amount - fee) STORED,
            status          operation_status NOT NULL DEFAULT 'pending',
            strategy        text,
            emotion_score   smallint,
            tags            text[],
            details         jsonb,
            notes           text,
            created_at      timestamptz NOT NULL DEFAULT now(),
            updated_at      timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT user_operations_pkey PRIMARY KEY (id),
            CONSTRAINT ck_user_operations_emotion CHECK (emotion_score BETWEEN 1 AND 10),
            CONSTRAINT ck_user_operations_fee CHECK (fee >= 0)
        )
    """)
    op.execute("COMMENT ON TABLE user_operations IS '用户操作记录'")
    op.execute("COMMENT ON COLUMN user_operations.net_amount IS 'amount - fee, computed by the database'")
    op.execute("COMMENT ON COLUMN user_operations.emotion_score IS '1 = panic, 10 = euphoria'")
    op.create_index('idx_user_operations_date', 'user_operations', [sa.text('operation_date DESC')])
    op.create_index('idx_user_operations_asset', 'user_operations', ['asset_code', 'operation_date'])
    op.create_index('idx_user_operations_pending', 'user_operations', ['operation_date'],
                    postgresql_where=sa.text("status = 'pending'"))
    op.execute("""
        CREATE INDEX idx_user_operations_utc_day ON user_operations
            (upper(asset_code::text), ((operation_date AT TIME ZONE 'UTC')::date))
    """)
    op.create_index('idx_user_operations_details', 'user_operations', ['details'], postgresql_using='gin')

    # --- asset_positions -------------------------------------------------
    op.create_table(
        'asset_positions',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('platform', sa.String(50), nullable=False),
        sa.Column('asset_type', asset_class, nullable=False),
        sa.Column('asset_code', sa.String(50), nullable=False),
        sa.Column('asset_name', sa.String(200)),
        sa.Column('currency', currency_code, nullable=False),
        sa.Column('quantity', sa.Numeric(38, 18), nullable=False),
        sa.Column('avg_cost', sa.Numeric(38, 18)),
        sa.Column('current_price', sa.Numeric()),
        sa.Column('total_value', sa.Numeric(), sa.Computed('quantity * current_price', persisted=True)),
        sa.Column('last_operation_id', sa.BigInteger()),
        sa.Column('extra', postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='asset_positions_pkey'),
        sa.UniqueConstraint('platform', 'asset_code', 'currency', name='uq_asset_positions'),
        sa.ForeignKeyConstraint(['last_operation_id'], ['user_operations.id'],
                                name='fk_asset_positions_last_operation', ondelete='SET NULL'),
        comment='当前持仓',
    )
    op.execute("ALTER TABLE asset_positions SET (fillfactor = 80)")
    op.create_index('idx_asset_positions_value', 'asset_positions', [sa.text('total_value DESC NULLS LAST')],
                    postgresql_include=['platform', 'asset_code'])

    # --- dca_plans -------------------------------------------------------
    op.create_table(
        'dca_plans',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('plan_name', sa.String(100), nullable=False),
        sa.Column('fund_id', sa.Integer(), nullable=False),
        sa.Column('platform', sa.String(50), nullable=False),
        sa.Column('currency', currency_code, server_default=sa.text("'CNY'"), nullable=False),
        sa.Column('amount', sa.Numeric(20, 8), nullable=False),
        sa.Column('frequency', sa.String(20), nullable=False),
        sa.Column('execution_time', sa.Time()),
        sa.Column('start_date', sa.Date(), nullable=False),
        sa.Column('end_date', sa.Date(), comment="NULL = not decided, 'infinity' = for ever"),
        sa.Column('is_active', sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='dca_plans_pkey'),
        sa.ForeignKeyConstraint(['fund_id'], ['fund_info.id'], name='fk_dca_plans_fund', ondelete='RESTRICT'),
        sa.CheckConstraint('amount > 0', name='ck_dca_plans_amount'),
        sa.CheckConstraint("frequency IN ('daily', 'weekly', 'biweekly', 'monthly')", name='ck_dca_plans_frequency'),
        sa.CheckConstraint('end_date >= start_date', name='ck_dca_plans_dates'),
        comment='定投计划',
    )
    op.create_index('idx_dca_plans_fund', 'dca_plans', ['fund_id'])

    # --- exchange_rates --------------------------------------------------
    op.execute("""
        CREATE TABLE exchange_rates (
            id              bigserial,
            base_currency   currency_code NOT NULL,
            quote_currency  currency_code NOT NULL,
            rate_date       date NOT NULL,
            rate            numeric(38,18) NOT NULL,
            source          varchar(40) NOT NULL DEFAULT 'ecb',
            fetched_at      timestamptz NOT NULL DEFAULT now(),
            valid_until     timestamptz,
            CONSTRAINT exchange_rates_pkey PRIMARY KEY (id, rate_date),
            CONSTRAINT uq_exchange_rates UNIQUE (base_currency, quote_currency, rate_date, source),
            CONSTRAINT ck_exchange_rates_pair CHECK (base_currency <> quote_currency),
            CONSTRAINT ck_exchange_rates_rate CHECK (rate > 0)
        ) PARTITION BY RANGE (rate_date)
    """)
    for year in (2023, 2024, 2025):
        op.execute(f"""
            CREATE TABLE exchange_rates_{year} PARTITION OF exchange_rates
                FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')
        """)
    op.execute("CREATE TABLE exchange_rates_default PARTITION OF exchange_rates DEFAULT")
    op.execute("COMMENT ON TABLE exchange_rates IS '每日汇率, one partition for each year'")
    op.create_index('idx_exchange_rates_date', 'exchange_rates', [sa.text('rate_date DESC')])

    # --- system_config ---------------------------------------------------
    op.create_table(
        'system_config',
        sa.Column('config_key', sa.String(100), nullable=False),
        sa.Column('config_value', sa.Text()),
        sa.Column('value_json', postgresql.JSONB()),
        sa.Column('is_secret', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('description', sa.Text()),
        sa.Column('allowed_from', postgresql.INET()),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('config_key', name='system_config_pkey'),
        comment='系统配置',
    )

    for table in ('fund_info', 'user_operations', 'asset_positions', 'dca_plans', 'system_config'):
        op.execute(f"""
            CREATE TRIGGER trg_{table}_updated_at BEFORE UPDATE ON {table}
                FOR EACH ROW EXECUTE FUNCTION set_updated_at()
        """)

    # --- what this revision is named after ---------------------------------
    op.add_column('dca_plans', sa.Column('asset_type', asset_class, server_default=sa.text("'fund'"),
                                         nullable=False, comment='资产类型'))


def downgrade() -> None:
    op.drop_column('dca_plans', 'asset_type')
    op.drop_table('system_config')
    op.drop_table('exchange_rates')  # with its partitions
    op.drop_table('dca_plans')
    op.drop_table('asset_positions')
    op.drop_table('user_operations')
    op.drop_table('fund_info')
    op.execute("DROP FUNCTION set_updated_at()")
    op.execute("DROP TYPE operation_status")
    op.execute("DROP TYPE operation_type")
    op.execute("DROP TYPE asset_class")
    op.execute("DROP DOMAIN currency_code")
