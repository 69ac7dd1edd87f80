"""add okx tables

Revision ID: c56f9f034ac1
Revises: 1c00ade64ab5
Create Date: 2025-07-13 11:32:48.204667

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = 'c56f9f034ac1'
down_revision: Union[str, None] = '1c00ade64ab5'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None

currency_code = postgresql.DOMAIN('currency_code', sa.String(10), create_type=False)
inst_type = postgresql.ENUM(name='okx_inst_type', create_type=False)


def upgrade() -> None:
    op.execute("CREATE TYPE okx_inst_type AS ENUM ('SPOT', 'MARGIN', 'SWAP', 'FUTURES', 'OPTION')")

    op.create_table(
        'okx_balances',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('account_type', sa.String(20), nullable=False),
        sa.Column('currency', currency_code, nullable=False),
        sa.Column('available', sa.Numeric(38, 18), nullable=False),
        sa.Column('frozen', sa.Numeric(38, 18), server_default=sa.text('0'), nullable=False),
        sa.Column('equity', sa.Numeric()),
        sa.PrimaryKeyConstraint('id', name='okx_balances_pkey'),
        sa.UniqueConstraint('account_type', 'currency', name='uq_okx_balance'),
        sa.CheckConstraint("account_type IN ('funding', 'trading', 'savings')", name='ck_okx_balances_account'),
        comment='OKX 余额',
    )

    op.create_table(
        'okx_transactions',
        sa.Column('id', sa.BigInteger(), sa.Identity(always=False, start=1000), nullable=False),
        sa.Column('transaction_id', sa.String(64), nullable=False),
        sa.Column('inst_type', inst_type, nullable=False),
        sa.Column('inst_id', sa.String(40), nullable=False),
        sa.Column('side', sa.String(4)),
        sa.Column('price', sa.Numeric()),
        sa.Column('size', sa.Numeric(38, 18), nullable=False),
        sa.Column('fee', sa.Numeric(38, 18)),
        sa.Column('fee_currency', currency_code),
        sa.Column('executed_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('bill', postgresql.JSONB()),
        sa.PrimaryKeyConstraint('id', name='okx_transactions_pkey'),
        sa.UniqueConstraint('transaction_id', name='uq_okx_transactions_transaction_id'),
        sa.CheckConstraint("side IN ('buy', 'sell')", name='ck_okx_transactions_side'),
        comment='OKX 交易记录',
    )
    op.create_index('idx_okx_transactions_inst', 'okx_transactions', ['inst_id', sa.text('executed_at DESC')])

    op.create_table(
        'okx_positions',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('inst_id', sa.String(40), nullable=False),
        sa.Column('inst_type', inst_type, nullable=False),
        sa.Column('position_side', sa.String(5), nullable=False),
        sa.Column('quantity', sa.Numeric(38, 18), nullable=False),
        sa.Column('avg_price', sa.Numeric(38, 18)),
        sa.Column('liq_price', sa.Numeric()),
        sa.Column('leverage', sa.REAL()),
        sa.Column('margin_ratio', sa.Double()),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='okx_positions_pkey'),
        sa.CheckConstraint("position_side IN ('long', 'short', 'net')", name='ck_okx_positions_side'),
        comment='OKX 持仓',
    )
    op.execute("""
        CREATE TRIGGER trg_okx_positions_updated_at BEFORE UPDATE ON okx_positions
            FOR EACH ROW EXECUTE FUNCTION set_updated_at()
    """)

    op.create_table(
        'okx_market_data',
        sa.Column('id', sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column('inst_id', sa.String(40), nullable=False),
        sa.Column('ts', sa.DateTime(timezone=True), nullable=False),
        sa.Column('open_price', sa.Numeric(20, 8)),
        sa.Column('high_price', sa.Numeric(20, 8)),
        sa.Column('low_price', sa.Numeric(20, 8)),
        sa.Column('last_price', sa.Numeric(20, 8), nullable=False),
        sa.Column('volume', sa.Numeric(20, 8)),
        sa.Column('funding_rate', sa.Numeric()),
        sa.PrimaryKeyConstraint('id', name='okx_market_data_pkey'),
        sa.UniqueConstraint('inst_id', 'ts', name='uq_okx_market_data'),
        comment='OKX 行情',
    )


def downgrade() -> None:
    op.drop_table('okx_market_data')
    op.drop_table('okx_positions')
    op.drop_table('okx_transactions')
    op.drop_table('okx_balances')
    op.execute("DROP TYPE okx_inst_type")
