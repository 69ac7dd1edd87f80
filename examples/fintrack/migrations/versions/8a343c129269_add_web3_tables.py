"""add web3 tables

Revision ID: 8a343c129269
Revises: 033880ebf93b
Create Date: 2025-07-17 14:06:20.908834

"""
from typing import Sequence, Union

from alembic import op

# revision identifiers, used by Alembic.
revision: str = '8a343c129269'
down_revision: Union[str, None] = '033880ebf93b'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE web3_tokens (
            id           serial,
            chain        varchar(20) NOT NULL,
            address      varchar(66) COLLATE "C" NOT NULL,
            symbol       varchar(40) NOT NULL,
            name         text,
            decimals     smallint NOT NULL DEFAULT 18,
            is_verified  boolean NOT NULL DEFAULT false,
            logo         bytea,
            aliases      text[] NOT NULL DEFAULT ARRAY[]::text[],
            CONSTRAINT web3_tokens_pkey PRIMARY KEY (id),
            CONSTRAINT uq_web3_tokens UNIQUE (chain, address),
            CONSTRAINT ck_web3_tokens_decimals CHECK (decimals BETWEEN 0 AND 36)
        )
    """)
    op.execute("COMMENT ON TABLE web3_tokens IS 'Web3 代币'")
    op.execute("CREATE INDEX idx_web3_tokens_symbol ON web3_tokens (lower(symbol::text))")

    op.execute("""
        CREATE TABLE web3_balances (
            id             bigserial,
            wallet         varchar(66) COLLATE "C" NOT NULL,
            chain          varchar(20) NOT NULL,
            token_address  varchar(66) COLLATE "C" NOT NULL,
            raw_balance    numeric(78,0) NOT NULL,
            balance        numeric,
            usd_value      numeric(38,18),
            snapshot_at    timestamptz NOT NULL,
            CONSTRAINT web3_balances_pkey PRIMARY KEY (id),
            CONSTRAINT uq_web3_balances UNIQUE (wallet, chain, token_address, snapshot_at),
            CONSTRAINT ck_web3_balances_raw CHECK (raw_balance >= 0),
            CONSTRAINT fk_web3_balances_token FOREIGN KEY (chain, token_address)
                REFERENCES web3_tokens (chain, address) ON UPDATE CASCADE
        )
    """)
    op.execute("COMMENT ON TABLE web3_balances IS 'Web3 余额'")
    op.execute("COMMENT ON COLUMN web3_balances.raw_balance IS 'uint256, smallest unit'")

    op.execute("""
        CREATE TABLE web3_transactions (
            chain         varchar(20) NOT NULL,
            tx_hash       bytea NOT NULL,
            block_number  bigint NOT NULL,
            block_time    timestamptz,
            value         numeric(78,0) NOT NULL DEFAULT 0,
            method        text,
            log_indexes   integer[],
            memo          text,
            CONSTRAINT web3_transactions_pkey PRIMARY KEY (chain, tx_hash),
            CONSTRAINT ck_web3_transactions_hash CHECK (octet_length(tx_hash) = 32)
        )
    """)
    op.execute("COMMENT ON TABLE web3_transactions IS 'Web3 交易'")


def downgrade() -> None:
    op.execute("DROP TABLE web3_transactions")
    op.execute("DROP TABLE web3_balances")
    op.execute("DROP TABLE web3_tokens")
