"""remove wise_balance account_id unique index

It still allowed one row for each account only.

Revision ID: ffcccccc0002
Revises: ffaaaaaa0000
Create Date: 2025-07-22 12:00:00.000000

"""
from typing import Sequence, Union

from alembic import op

# revision identifiers, used by Alembic.
revision: str = 'ffcccccc0002'
down_revision: Union[str, None] = 'ffaaaaaa0000'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    op.drop_index('ix_wise_balances_account_id', table_name='wise_balances')


def downgrade() -> None:
    op.execute("""
        DELETE FROM wise_balances b USING wise_balances newer
            WHERE newer.account_id = b.account_id
              AND (newer.update_time, newer.id) > (b.update_time, b.id)
    """)
    op.create_index('ix_wise_balances_account_id', 'wise_balances', ['account_id'], unique=True)
