"""add ibkr tables

Revision ID: a1b2c3d4e5f6
Revises: 9b2fcf59ac80
Create Date: 2025-07-10 09:00:00.000000

"""
from alembic import op

# revision identifiers, used by Alembic.
revision = 'a1b2c3d4e5f6'
down_revision = '9b2fcf59ac80'
branch_labels = None
depends_on = None


def upgrade():
    op.execute("""
        CREATE TABLE ibkr_accounts (
            account_id     varchar(20) NOT NULL,
            account_name   varchar(100),
            base_currency  currency_code NOT NULL DEFAULT 'USD',
            account_type   varchar(20) NOT NULL DEFAULT 'INDIVIDUAL',
            opened_on      date,
            api_key_hash   bytea,
            settings       jsonb NOT NULL DEFAULT '{}',
            created_at     timestamptz NOT NULL DEFAULT now(),
            updated_at     timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT ibkr_accounts_pkey PRIMARY KEY (account_id),
            CONSTRAINT ck_ibkr_accounts_key_hash CHECK (octet_length(api_key_hash) = 32)
        )
    """)
    op.execute("COMMENT ON TABLE ibkr_accounts IS 'IBKR 账户'")
    op.execute("COMMENT ON COLUMN ibkr_accounts.api_key_hash IS 'sha256'")

    op.execute("""
        CREATE TABLE ibkr_balances (
            id               bigserial,
            account_id       varchar(20) NOT NULL,
            currency         currency_code NOT NULL,
            total_cash       numeric(38,18) NOT NULL,
            net_liquidation  numeric(38,18),
            buying_power     numeric(38,18),
            snapshot_date    date NOT NULL,
            snapshot_at      timestamptz NOT NULL,
            CONSTRAINT ibkr_balances_pkey PRIMARY KEY (id),
            CONSTRAINT uq_ibkr_balances UNIQUE (account_id, currency, snapshot_at),
            CONSTRAINT fk_ibkr_balances_account FOREIGN KEY (account_id)
                REFERENCES ibkr_accounts (account_id) ON DELETE CASCADE
        )
    """)
    op.execute("COMMENT ON TABLE ibkr_balances IS 'IBKR 余额'")

    op.execute("""
        CREATE TABLE ibkr_positions (
            id              bigserial,
            account_id      varchar(20) NOT NULL,
            symbol          varchar(40) NOT NULL,
            asset_type      asset_class NOT NULL DEFAULT 'stock',
            currency        currency_code NOT NULL,
            quantity        numeric(38,18) NOT NULL,
            market_price    numeric,
            average_cost    numeric(38,18),
            unrealized_pnl  numeric(38,18),
            greeks          jsonb,
            snapshot_at     timestamptz NOT NULL,
            CONSTRAINT ibkr_positions_pkey PRIMARY KEY (id),
            CONSTRAINT fk_ibkr_positions_account FOREIGN KEY (account_id)
                REFERENCES ibkr_accounts (account_id) ON DELETE CASCADE
        )
    """)
    op.execute("COMMENT ON TABLE ibkr_positions IS 'IBKR 持仓'")
    op.execute("CREATE INDEX idx_ibkr_positions_latest ON ibkr_positions (account_id, symbol, snapshot_at DESC)")

    op.execute("""
        CREATE TABLE ibkr_sync_logs (
            id          serial,
            account_id  varchar(20),
            request_id  uuid NOT NULL,
            status      varchar(20) NOT NULL,
            rows_in     integer NOT NULL DEFAULT 0,
            duration    interval,
            source_ip   inet,
            error       text,
            started_at  timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT ibkr_sync_logs_pkey PRIMARY KEY (id),
            CONSTRAINT uq_ibkr_sync_logs_request UNIQUE (request_id),
            CONSTRAINT ck_ibkr_sync_logs_status CHECK (status IN ('ok', 'partial', 'failed')),
            CONSTRAINT fk_ibkr_sync_logs_account FOREIGN KEY (account_id)
                REFERENCES ibkr_accounts (account_id) ON DELETE SET NULL DEFERRABLE
        )
    """)
    op.execute("COMMENT ON TABLE ibkr_sync_logs IS 'IBKR 同步日志'")
    op.execute("""
        CREATE TRIGGER trg_ibkr_accounts_updated_at BEFORE UPDATE ON ibkr_accounts
            FOR EACH ROW EXECUTE FUNCTION set_updated_at()
    """)


def downgrade():
    for table in ('ibkr_sync_logs', 'ibkr_positions', 'ibkr_balances', 'ibkr_accounts'):
        op.execute(f"DROP TABLE {table}")
