"""add okx_account_overview table

Revision ID: 033880ebf93b
Revises: 9ab46480ba00
Create Date: 2025-07-15 23:58:01.440871

"""
from typing import Sequence, Union

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

# revision identifiers, used by Alembic.
revision: str = '033880ebf93b'
down_revision: Union[str, None] = '9ab46480ba00'
branch_labels: Union[str, Sequence[str], None] = None
depends_on: Union[str, Sequence[str], None] = None


def upgrade() -> None:
    op.create_table(
        'okx_account_overview',
        sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
        sa.Column('trading_total_usd', sa.Numeric(38, 18), nullable=False),
        sa.Column('funding_total_usd', sa.Numeric(38, 18), nullable=False),
        sa.Column('savings_total_usd', sa.Numeric(38, 18), nullable=False),
        sa.Column('total_assets_usd', sa.Numeric(),
                  sa.Computed('trading_total_usd + funding_total_usd + savings_total_usd', persisted=True)),
        sa.Column('breakdown', postgresql.JSONB()),
        sa.Column('as_of', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name='okx_account_overview_pkey'),
        sa.UniqueConstraint('as_of', name='uq_okx_account_overview_as_of'),
        comment='OKX 账户总览',
    )


def downgrade() -> None:
    op.drop_table('okx_account_overview')
