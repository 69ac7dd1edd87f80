"""add wise_transactions and wise_balances tables

Revision ID: 9b2fcf59ac80
Revises: f9adc45cf4ec
Create Date: 2025-07-08 22:11:36.093371

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = '9b2fcf59ac80'
down_revision: Union[str, None] = 'f9adc45cf4ec'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None

currency_code = postgresql.DOMAIN('currency_code', sa.String(10), create_type=False)


def upgrade() -> None:
    # Feeds a default, but is owned by no column.
    op.execute("CREATE SEQUENCE wise_statement_no_seq START WITH 1000 INCREMENT BY 10 MINVALUE 1000")
    op.execute("COMMENT ON SEQUENCE wise_statement_no_seq IS 'Statement numbers, also taken by the importer'")

    op.create_table(
        'wise_transactions',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('profile_id', sa.BigInteger(), nullable=False),
        sa.Column('account_id', sa.String(64), nullable=False),
        sa.Column('transaction_id', sa.String(64), nullable=False),
        sa.Column('transaction_type', sa.String(30)),
        sa.Column('amount', sa.Numeric(20, 8), nullable=False),
        sa.Column('currency', currency_code, nullable=False),
        sa.Column('legacy_note', sa.String(500)),
        sa.Column('description', sa.Text()),
        sa.Column('merchant', sa.String(200)),
        sa.Column('date', sa.DateTime(timezone=True)),
        sa.Column('statement_no', sa.BigInteger(), server_default=sa.text("nextval('wise_statement_no_seq')"), nullable=False),
        sa.Column('receipt', postgresql.BYTEA(), comment='PDF or image, as received'),
        sa.Column('raw', postgresql.JSONB()),
        sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='wise_transactions_pkey'),
        sa.UniqueConstraint('transaction_id', name='uq_wise_transactions_transaction_id'),
        comment='Wise 交易记录',
    )
    op.create_index('idx_wise_transactions_account', 'wise_transactions', ['account_id', 'date'])

    op.create_table(
        'wise_balances',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('account_id', sa.String(64), nullable=False),
        sa.Column('currency', currency_code, nullable=False),
        sa.Column('available_balance', sa.Numeric(38, 18), nullable=False),
        sa.Column('reserved_balance', sa.Numeric(38, 18), server_default=sa.text('0'), nullable=False),
        sa.Column('total_worth', sa.Numeric()),
        sa.Column('balance_type', sa.String(20), server_default=sa.text("'STANDARD'"), nullable=False),
        sa.Column('visible', sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
        sa.PrimaryKeyConstraint('id', name='wise_balances_pkey'),
        sa.UniqueConstraint('account_id', 'currency', name='uq_wise_balance'),
        comment='Wise 余额',
    )
    op.create_index('ix_wise_balances_account_id', 'wise_balances', ['account_id'], unique=True)

    for table in ('wise_transactions', 'wise_balances'):
        op.execute(f"""
            CREATE TRIGGER trg_{table}_updated_at BEFORE UPDATE ON {table}
                FOR EACH ROW EXECUTE FUNCTION set_updated_at()
        """)
    op.execute("""
        CREATE TRIGGER trg_wise_balances_audit AFTER UPDATE OR DELETE ON wise_balances
            FOR EACH ROW EXECUTE FUNCTION audit_row('id')
    """)


def downgrade() -> None:
    op.drop_table('wise_balances')
    op.drop_table('wise_transactions')
    op.execute("DROP SEQUENCE wise_statement_no_seq")
