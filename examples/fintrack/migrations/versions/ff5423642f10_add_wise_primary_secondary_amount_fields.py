"""add wise primary/secondary amount fields

Revision ID: ff5423642f10
Revises: 8a343c129269
Create Date: 2025-07-20 10:24:37.561290

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = 'ff5423642f10'
down_revision: Union[str, None] = '8a343c129269'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None

currency_code = postgresql.DOMAIN('currency_code', sa.String(10), create_type=False)


def upgrade() -> None:
    op.add_column('wise_transactions', sa.Column('primary_amount', sa.Numeric(38, 18), comment='主金额'))
    op.add_column('wise_transactions', sa.Column('primary_currency', currency_code))
    op.add_column('wise_transactions', sa.Column('secondary_amount', sa.Numeric(38, 18), comment='次金额'))
    op.add_column('wise_transactions', sa.Column('secondary_currency', currency_code))

    # Rows that are there keep their amount as the primary one.
    op.execute("""
        UPDATE wise_transactions SET primary_amount = amount, primary_currency = currency
            WHERE primary_amount IS NULL
    """)

    op.execute("""
        ALTER TABLE wise_transactions ADD COLUMN implied_rate numeric
            GENERATED ALWAYS AS (secondary_amount / nullif(primary_amount, 0)) STORED
    """)
    op.execute("""
        ALTER TABLE wise_transactions ADD CONSTRAINT ck_wise_transactions_secondary
            CHECK ((secondary_amount IS NULL) = (secondary_currency IS NULL))
    """)


def downgrade() -> None:
    op.drop_constraint('ck_wise_transactions_secondary', 'wise_transactions', type_='check')
    op.drop_column('wise_transactions', 'implied_rate')
    op.drop_column('wise_transactions', 'secondary_currency')
    op.drop_column('wise_transactions', 'secondary_amount')
    op.drop_column('wise_transactions', 'primary_currency')
    op.drop_column('wise_transactions', 'primary_amount')
