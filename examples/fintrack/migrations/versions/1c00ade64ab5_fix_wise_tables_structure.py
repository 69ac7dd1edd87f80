"""fix wise tables structure

Revision ID: 1c00ade64ab5
Revises: a1b2c3d4e5f6
Create Date: 2025-07-12 17:44:09.615544

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision: str = '1c00ade64ab5'
down_revision: Union[str, None] = 'a1b2c3d4e5f6'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    # "date" was a poor name, and may not be empty.
    op.alter_column('wise_transactions', 'date', new_column_name='occurred_at')
    op.execute("UPDATE wise_transactions SET occurred_at = created_at WHERE occurred_at IS NULL")
    op.alter_column('wise_transactions', 'occurred_at', existing_type=sa.DateTime(timezone=True), nullable=False)

    op.alter_column('wise_transactions', 'amount', existing_type=sa.Numeric(20, 8), type_=sa.Numeric(38, 18),
                    existing_nullable=False)

    op.execute("""
        UPDATE wise_transactions SET description = legacy_note
            WHERE description IS NULL AND legacy_note IS NOT NULL
    """)
    op.drop_column('wise_transactions', 'legacy_note')

    op.execute("""
        ALTER TABLE wise_transactions ADD CONSTRAINT ck_wise_transactions_type
            CHECK (transaction_type IN ('CARD', 'TRANSFER', 'CONVERSION', 'DEPOSIT', 'FEE', 'INTEREST'))
    """)
    op.create_index('idx_wise_transactions_raw', 'wise_transactions', ['raw'], postgresql_using='gin')
    op.create_check_constraint('ck_wise_balances_reserved', 'wise_balances', 'reserved_balance >= 0')


def downgrade() -> None:
    op.drop_constraint('ck_wise_balances_reserved', 'wise_balances', type_='check')
    op.drop_index('idx_wise_transactions_raw', table_name='wise_transactions')
    op.drop_constraint('ck_wise_transactions_type', 'wise_transactions', type_='check')
    op.add_column('wise_transactions', sa.Column('legacy_note', sa.String(500)))
    op.execute("ALTER TABLE wise_transactions ALTER COLUMN amount TYPE numeric(20,8)")
    op.alter_column('wise_transactions', 'occurred_at', existing_type=sa.DateTime(timezone=True), nullable=True)
    op.alter_column('wise_transactions', 'occurred_at', new_column_name='date')
